"""`bench data`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from disentangle_bench.benchmarks.commands import preconditions
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.files import file_name


def command(
    action: Literal["show", "check"],
    name: str,
    *,
    method: str | None = None,
    set: list[str] | None = None,
    to: str | None = None,
) -> int:
    """Look at a data set: `show` draws a contact sheet, `check` counts, and finds unreadable files and duplicates.

    Args:
        action: show or check.
        name: of the data set.
        method: show the views that this method trains on instead: a row an image, the image itself first.
        set: KEY=VALUE of the data set's options, may be repeated, such as correlation=0.5 or root=FOLDER; also as
            `bench run` has them, data.root or image_folder.root.
        to: the picture; default: results/data/NAME.png, or NAME-METHOD.png.
    """
    from disentangle_bench import datamodules, methods
    from disentangle_bench.benchmarks import own_code
    from disentangle_bench.benchmarks.planning import options
    from disentangle_bench.benchmarks.planning.command_line import assigned
    from disentangle_bench.benchmarks.planning.lookup import find_class
    from disentangle_bench.benchmarks.planning.trial import opened_data
    from disentangle_bench.datamodules import inspection
    from disentangle_bench.evaluation.pictures.artefacts import views_sheet
    from disentangle_bench.registry import dotted

    own_code.allow(Path.cwd())
    stem = "-".join(file_name(part) for part in (name, method) if part)
    picture = Path(to or f"results/data/{stem}.png")
    if action == "show":
        preconditions.check_target(picture)
    elif to or method:
        raise RequestError("data check: --to and --method belong to `bench data show`")
    data_class = find_class(datamodules, "dataset", name)
    method_class = find_class(methods, "method", method) if method else None
    options_alone = [one.removeprefix("data.").removeprefix(f"{dotted(name)}.") for one in set or []]
    given = assigned([f"data.{one}" for one in options_alone]).get("data", {})
    if not method and "balance" not in given:  # no batch is drawn: fewer images than a usual one are no fault here
        given = {"batch_size": 1} | given
    with opened_data(data_class, options.resolve(data_class, given, f"data set {name}"), name) as data:
        if action == "check":
            report = inspection.check(data)
        elif method_class:
            learner = method_class(image_shape=data.image_shape, data=data.describe())
            batch = {key: values[:12] for key, values in next(iter(data.train_dataloader())).items()}
            sheet = views_sheet(batch, learner.views, learner)
        else:
            sheet = inspection.contact_sheet(data)
    if action == "check":
        print(report.text())
        return 0 if report.clean else 1
    preconditions.write_target(picture, sheet)
    print(picture)
    return 0
