"""`bench eval`."""

from __future__ import annotations

from pathlib import Path

from disentangle_bench.benchmarks.commands import preconditions


def command(
    *,
    encoder: str,
    dataset: str = "colored_digits",
    suite: str = "quick",
    measures: str | None = None,
    set: list[str] | None = None,
    out: str = "results/runs",
    untrained: bool = False,
) -> int:
    """Judge an encoder that exists already, without training.

    Args:
        encoder: `encoder.safetensors` of a run of this suite, or `timm:NAME` for one of timm's with its own weights.
        dataset: what to judge it on.
        suite: whose measures and data settings to use.
        measures: what to measure instead, comma-separated, such as linear,dci, or `all` (see `bench list metrics`).
        set: KEY=VALUE, may be repeated, such as data.batch_size=64.
        out: folder of all runs.
        untrained: judge a timm encoder with random weights (refused otherwise).
    """
    from disentangle_bench.benchmarks.commands.leaderboard import show_board
    from disentangle_bench.benchmarks.planning.suite import choose
    from disentangle_bench.benchmarks.runs import feature_cache

    folder = Path(out)
    preconditions.check_writable(folder)
    feature_cache.limit()
    request = choose(suite, None, dataset, None, set, measures)
    from disentangle_bench.benchmarks.execution.pretrained import measure_encoder

    record = measure_encoder(encoder, request, folder, untrained)
    show_board(folder, hashes={record["cell"]["hash"]})
    return 0
