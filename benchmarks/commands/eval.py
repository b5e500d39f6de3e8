"""`bench eval`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from disentangle_bench.benchmarks import terminal
from disentangle_bench.benchmarks.commands import preconditions
from disentangle_bench.benchmarks.errors import RequestError

LARGEST = 4096
"""Pixels of an image's edge."""


def command(
    *,
    encoder: str | None = None,
    features: str | None = None,
    dataset: str = "colored_digits",
    suite: str = "quick",
    measures: str | None = None,
    set: list[str] | None = None,
    out: str = "results/runs",
    name: str | None = None,
    image_size: int | None = None,
    normalize: Literal["data", "cifar10", "imagenet", "none"] | None = None,
    untrained: bool = False,
    labels: str | None = None,
) -> int:
    """Judge an encoder that exists already, without training.

    Args:
        encoder: my_file.make (a function of yours that returns a torch.nn.Module), a run's folder or
            encoder.safetensors, FILE.ts (TorchScript), timm:NAME, timm:NAME,checkpoint=FILE, or hf:OWNER/NAME.
        features: instead of it, a folder of features: train.npy, val.npy, test.npy, a row an image.
        dataset: what it is judged on.
        suite: whose measures and settings of the data are used.
        measures: these instead, comma-separated, such as linear,leakage, or `all` (`bench list measures`).
        set: data.OPTION=VALUE, a setting of the data; may be repeated.
        out: folder of all runs.
        name: that tables call it by; default: as it was named.
        image_size: edge that images are resized to; default: what the encoder needs, or else the images' own.
        normalize: data, cifar10, imagenet or none: statistics taken out of pixels; default: as the encoder says, or
            none (pixels in [0, 1]).
        untrained: judge random weights.
        labels: what it saw in training, as far as you know: none, or roles of targets, comma-separated: content,
            domain, style. Tables compare it with methods that saw as much; without it they list it apart.

    Exits with 1 if no measure gives a figure.

    Examples:
        bench eval --encoder my_file.make --dataset colored_digits --measures linear,leakage
        bench eval --encoder timm:resnet18,checkpoint=lightly.ckpt --normalize cifar10 --name lightly
        bench eval --encoder timm:vit_small_patch16_224 --image-size 224 --dataset digits
        bench eval --features my_features --dataset digits
    """
    from disentangle_bench.benchmarks.execution.pretrained import encoder_names

    if (encoder is None) == (features is None):
        raise RequestError("eval: one of --encoder and --features is needed")
    if image_size is not None and not 1 <= image_size <= LARGEST:
        raise RequestError(f"--image-size {image_size}: from 1 to {LARGEST} pixels")
    if features is not None and (image_size or normalize or untrained):
        raise RequestError("eval: --image-size, --normalize and --untrained are of an --encoder, not of --features")
    seen = None if labels is None else _roles(labels)
    folder = Path(out)
    preconditions.check_writable(folder)
    if encoder is not None:
        encoder_names.check(encoder, untrained)
    if features is not None:
        encoder_names.check_features(Path(features))
    from disentangle_bench.benchmarks.commands.carry_out import next_steps
    from disentangle_bench.benchmarks.commands.leaderboard import show_board
    from disentangle_bench.benchmarks.planning.command_line import assigned
    from disentangle_bench.benchmarks.planning.lookup import check_names
    from disentangle_bench.benchmarks.planning.suite import choose
    from disentangle_bench.benchmarks.runs import feature_cache

    feature_cache.limit()
    if strangers := [head for head in assigned(set or []) if head not in ("data", dataset)]:
        raise RequestError(f"--set {strangers[0]}: an encoder takes settings of the data alone, data.OPTION=VALUE")
    request = choose(suite, None, dataset, None, set, measures)
    check_names(request)
    if len(request.datasets) != 1:
        raise RequestError(f"--dataset {dataset}: an encoder is judged on one data set at a time")
    from disentangle_bench.benchmarks.execution.pretrained.evaluate import GivenEncoder, measure_encoder

    given = GivenEncoder(encoder or "", features or "", name or "", image_size, normalize, untrained, seen)
    record = measure_encoder(given, request, folder)
    show_board(folder, hashes={record["cell"]["hash"]})
    if all(row["scores"] is None for row in record["metrics"]):
        reason = next((row["reason"] for row in record["metrics"]), "none was asked for")
        print(f"bench: {record['cell']['method']}: no measure gave a figure: {reason}", file=sys.stderr)
        return 1
    if terminal.verbosity > terminal.Verbosity.QUIET:
        print(next_steps(folder), file=sys.stderr)
    return 0


def _roles(text: str) -> tuple[str, ...]:
    """Roles in a text: `none`, or names of roles separated by commas."""
    from typing import get_args

    from disentangle_bench.datamodules.targets import Role

    named = [name.strip() for name in text.split(",")]
    if named == ["none"]:
        return ()
    if wrong := [name for name in named if name not in get_args(Role)]:
        raise RequestError(f"--labels {text}: {wrong[0]!r} is neither none nor one of {', '.join(get_args(Role))}")
    return tuple(dict.fromkeys(named))
