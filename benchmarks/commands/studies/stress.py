"""`bench stress`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from disentangle_bench.benchmarks import own_code, terminal
from disentangle_bench.benchmarks.commands import preconditions
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.machine import count_cores
from disentangle_bench.extras import missing
from disentangle_bench.files import write_file

WIDTHS = (8, 32, 128)


def command(
    *,
    measures: str = "all",
    widths: list[int] | None = None,
    images: int = 600,
    seeds: int = 1,
    minutes: float = 10,
    jobs: int | None = None,
    to: str | None = None,
) -> int:
    """Try measures on planted codes whose truth is known: where can each be trusted, and where not?

    Args:
        measures: comma-separated; a path such as my_file.depth is a measure of your own; all by default.
        widths: numbers of codes to try, each 5 to 65536; [8, 32, 128] by default.
        images: of the splits train, probe and test, 100 to 100000; the validation splits have half as many.
        seeds: draws that are averaged.
        minutes: for each measure; conditions that aren't through by then are left out.
        jobs: measures side by side; default: as many as there are cores.
        to: write the cards to this markdown file, with its pictures beside it, in a folder of its name.
    """
    from disentangle_bench.benchmarks.planning.command_line import names_in
    from disentangle_bench.benchmarks.planning.lookup import own_measures, resolve_measures
    from disentangle_bench.evaluation.protocol import newest
    from disentangle_bench.evaluation.stress import page
    from disentangle_bench.evaluation.stress.planted import conditions

    chosen = widths or list(WIDTHS)
    if not all(5 <= width <= 65536 for width in chosen):
        raise RequestError(f"--widths {chosen}: from 5 codes, of which 4 are the factors', to 65536")
    for name, value, low, high in (("images", images, 100, 100_000), ("seeds", seeds, 1, 100)):
        if not low <= value <= high:
            raise RequestError(f"--{name} {value}: from {low} to {high}")
    if not minutes > 0 or (jobs is not None and jobs < 1):
        raise RequestError(f"--minutes {minutes:g} --jobs {jobs}: more than 0")
    if to is not None:
        if Path(to).suffix != ".md":
            raise RequestError(f"--to {to}: a file whose name ends in .md; its pictures get a folder of the rest")
        preconditions.check_target(Path(to))
        if advice := missing("matplotlib"):
            raise RequestError(f"--to {to}: the pictures {advice}")
    own_code.allow(Path.cwd())
    names = newest() if measures == "all" else names_in(measures)
    titles, tried = resolve_measures(names), conditions(chosen)
    each = partial(_cards, own=own_measures(names), tried=tried, images=images, seeds=seeds, minutes=minutes)
    cards: list[Any] = []
    workers = min(jobs or count_cores(), len(titles))
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for number, found in enumerate(pool.map(each, titles), 1):
            if terminal.verbosity > terminal.Verbosity.QUIET:
                told = f"bench: {number} of {len(titles)} measures: {found[0].measure}, {found[0].seconds:.0f} s"
                print(told, file=sys.stderr, flush=True)
            cards += found
    if to is None:
        print(page.markdown(cards, tried), end="")
        return 0
    target = Path(to)
    for name, picture in page.pictures(cards).items():
        target.with_suffix("").mkdir(parents=True, exist_ok=True)
        write_file(target.with_suffix("") / name, picture)
    write_file(target, page.document(cards, tried, images, seeds, target.stem))
    print(target)
    return 0


def _cards(title: str, own: list[str], tried: Sequence[Any], images: int, seeds: int, minutes: float) -> list[Any]:
    """All cards of a measure, in a process of its own, which doesn't know yet of measures by path."""
    import torch
    from threadpoolctl import threadpool_limits

    from disentangle_bench.benchmarks.planning.lookup import import_measures
    from disentangle_bench.evaluation.protocol import MEASURES
    from disentangle_bench.evaluation.stress.cards import try_out

    own_code.allow(Path.cwd())
    import_measures(own)
    torch.set_num_threads(1)
    with threadpool_limits(1):
        return try_out(MEASURES[title], tried, images=images, seeds=seeds, minutes=minutes)
