"""Commands that look at what is there: data, list, doctor, perf."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from disentangle_bench.benchmarks.commands.preconditions import check_writable
from disentangle_bench.benchmarks.planning import suite as suites
from disentangle_bench.benchmarks.planning.suite import names_in


def data(
    action: Literal["show", "check"],
    name: str,
    method: str | None = None,
    set: list[str] | None = None,
    to: str | None = None,
) -> int:
    """Look at a data set: `show` draws a contact sheet, `check` counts, and finds unreadable files and duplicates.

    Args:
        action: show or check.
        name: of the data set.
        method: show the views that this method trains on instead: a row an image, the image itself first.
        set: KEY=VALUE of the data set's options, may be repeated, such as correlation=0.5 or root=FOLDER.
        to: the picture; default: results/data/NAME.png, or NAME-METHOD.png.
    """
    from disentangle_bench.benchmarks.commands import data as looking

    given = suites.assigned([f"{name}.{assignment}" for assignment in set or []]).get(name, {})
    picture = Path(to or f"results/data/{name}{f'-{method}' if method else ''}.png")
    if action == "show":
        check_writable(picture.parent)
    print(looking.look(action, name, given, method, picture))
    return 0


def show_list(what: Literal["methods", "datasets", "suites", "metrics"]) -> int:
    """List what there is.

    Args:
        what: methods, datasets, suites or metrics.
    """
    from disentangle_bench.benchmarks.commands.list import listing

    print(listing(what))
    return 0


def doctor(out: str = "results/runs") -> int:
    """Say what this machine offers, and what to do about what is missing.

    Args:
        out: folder that runs would go to.
    """
    from disentangle_bench.benchmarks.commands.doctor import report

    print(report(Path(out)))
    return 0


def perf(only: str | None = None) -> int:
    """Measure what takes time: the linear probe beside scikit-learn's, the protocol, IP-IRM's partition, the loader.

    Args:
        only: names of entries, comma-separated; default: all.
    """
    from disentangle_bench.benchmarks.errors import unknown
    from disentangle_bench.benchmarks.perf import ENTRIES, measure

    names = names_in(only) if only else list(ENTRIES)
    for name in names:
        if name not in ENTRIES:
            raise unknown("entry", name, ENTRIES)
    print(measure(names))
    return 0
