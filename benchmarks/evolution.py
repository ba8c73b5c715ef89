"""Credit assignment: which slot of a system to change, and what finding that out costs.

    python benchmarks/evolution.py --data DATA [--rows FILE] [--docs docs/evolution.md]

`DATA` holds `gsm8k/` and `mbppplus/`. Random systems of real programs (`benchmarks/credit`) start
from a configuration that works sometimes; every arm looks for a better one. What is compared is the
number of runs until an arm's configuration succeeds in 90 % of the tasks in which the best one of
all does, and what it is worth after one, two and three rounds. A replay counts as a run.

`--rows` keeps what is finished, so that the benchmark can be stopped and goes on; with `--docs`,
the table goes between the marks in that file, and the plot beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from credit.arms import ARMS, BANDITS, CONTROL, VERIFIED, Curve, Settings, search
from credit.pipeline import Plant, draw

from agentracer.statistics import bootstrap_interval, sign_test

FAMILIES = ("gsm8k", "documents", "mbpp")
BEGIN, END = "<!-- credit: begin -->", "<!-- credit: end -->"
_MARK = 0.9


@dataclass
class Row:
    """What one arm came to on one system."""

    system: str
    arm: str
    start: float
    best: float
    configurations: int
    good: float
    slots: int
    lasting: float | None
    touched: float | None
    fine: float | None
    rounds: list[float]
    end: float
    replays: int
    points: list[tuple[int, float]]


def systems(
    data: Path, kinds: Sequence[str], count: int, first: int, tasks: int
) -> Iterator[tuple[str, int, Plant]]:
    """The first `count` seeds of each family, from `first` on, that give a system."""
    for name in kinds:
        family = import_module(f"credit.{name}").family(data)
        found, seed = 0, first
        while found < count:
            plant = draw(family, seed, tasks=tasks)
            if plant is not None:
                yield f"{name}-{seed}", seed, plant
                found += 1
            seed += 1


def measured(name: str, plant: Plant, settings: Settings, arm: str) -> Row:
    """One arm on one system."""
    mark = _MARK * plant.best
    curve: Curve = search(arm, plant, settings)
    good = sum(sum(row) >= mark * len(plant.tasks) - 1e-9 for row in plant.table.values())
    return Row(
        system=name,
        arm=arm,
        start=plant.share(plant.start),
        best=plant.best,
        configurations=len(plant.configurations),
        good=good / len(plant.configurations),
        slots=len(plant.options),
        lasting=_within(curve.reached(mark, hold=settings.budget), settings.budget),
        touched=_within(curve.reached(mark), settings.budget),
        fine=curve.reached(mark, hold=settings.budget, fine=True),
        rounds=curve.rounds[:4],
        end=curve.points[-1][1],
        replays=curve.replays,
        points=curve.points,
    )


def _within(runs: float | None, budget: int) -> float | None:
    """A round that began within the budget may end beyond it; what it found then is too late."""
    return None if runs is None or runs > budget else runs


# -- the report


def report(rows: Sequence[Row], options: argparse.Namespace) -> str:
    """The table and the comparisons, as Markdown."""
    names = list(dict.fromkeys(row.system for row in rows))
    by = {(row.system, row.arm): row for row in rows}
    arms = [arm for arm in ARMS if all((name, arm) in by for name in names)]
    lines = [_setting(rows, names, options), "", *_table(names, arms, by, options.budget), ""]
    lines += _comparisons(names, arms, by, options.budget)
    return "\n".join(lines)


def _setting(rows: Sequence[Row], names: Sequence[str], options: argparse.Namespace) -> str:
    one = {row.system: row for row in rows}
    kinds = ", ".join(f"{sum(n.startswith(k) for n in names)} {k}" for k in FAMILIES)
    slots = sorted(row.slots for row in one.values())
    good = statistics.median(row.good for row in one.values())
    start = statistics.mean(row.start / row.best for row in one.values())
    sizes = sorted(row.configurations for row in one.values())
    return (
        f"{len(names)} systems ({kinds}), {slots[0]} to {slots[-1]} slots, {sizes[0]} to "
        f"{sizes[-1]} configurations, {options.tasks} tasks each. At the start they succeed in "
        f"{start:.0%} of what the best configuration reaches, on average; in the median system "
        f"{good:.1%} of all configurations reach the mark. {options.budget} runs at most; "
        f"{options.batch} new tasks, {options.failures} new failures and at most "
        f"{options.per_round} changed slots a round, where no larger set is proved."
    )


def _table(
    names: Sequence[str], arms: Sequence[str], by: dict[tuple[str, str], Row], budget: int
) -> Iterator[str]:
    yield (
        "| arm | round 1 | round 2 | round 3 | end | reach the mark | runs to it, median "
        "[quartiles] | first touch, median | by steps, median | replays |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for arm in arms:
        rows = [by[name, arm] for name in names]
        rounds = [_after(rows, number) for number in (1, 2, 3)]
        end = statistics.mean(row.end / row.best for row in rows)
        reached = sum(row.lasting is not None for row in rows)
        runs = [row.lasting for row in rows]
        yield (
            f"| {arm} | {' | '.join(rounds)} | {end:.0%} | {reached} of {len(rows)} | "
            f"{_median(runs, budget)} {_quartiles(runs, budget)} | "
            f"{_median([row.touched for row in rows], budget)} | "
            f"{_median([row.fine for row in rows], budget)} | "
            f"{statistics.mean(row.replays for row in rows):.0f} |"
        )


def _after(rows: Sequence[Row], number: int) -> str:
    """Success after a round, as a share of the best configuration's, with its 95 % interval."""
    shares = [r.rounds[min(number, len(r.rounds) - 1)] / r.best for r in rows if r.rounds]
    if not shares:
        return "–"
    low, high = bootstrap_interval(shares)
    return f"{statistics.mean(shares):.0%} [{low:.0%}, {high:.0%}]"


def _median(found: Sequence[float | None], budget: int) -> str:
    middle = statistics.median(math.inf if runs is None else runs for runs in found)
    return f"over {budget}" if math.isinf(middle) else f"{middle:.0f}"


def _quartiles(found: Sequence[float | None], budget: int) -> str:
    known = sorted(math.inf if runs is None else runs for runs in found)
    ends = (known[len(known) // 4], known[(3 * len(known)) // 4])
    return "[" + ", ".join(f">{budget}" if math.isinf(e) else f"{e:.0f}" for e in ends) + "]"


def _comparisons(
    names: Sequence[str], arms: Sequence[str], by: dict[tuple[str, str], Row], budget: int
) -> Iterator[str]:
    yield (
        "| verified against | runs, as a share of its runs [95 %] | at most half | more | p | "
        "by steps [95 %] |"
    )
    yield "|---|---|---|---|---|---|"
    for arm in arms:
        if arm in (VERIFIED, CONTROL):
            continue
        ours = [_censored(by[name, VERIFIED].lasting, budget) for name in names]
        theirs = [_censored(by[name, arm].lasting, budget) for name in names]
        logs = _logs(ours, theirs)
        fine = [[_censored(by[n, a].fine, budget) for n in names] for a in (VERIFIED, arm)]
        half = sum(a <= b / 2 for a, b in zip(ours, theirs, strict=True))
        more, fewer = sum(d > 0 for d in logs), sum(d < 0 for d in logs)
        yield (
            f"| {arm} | {_share(ours, theirs)} | {half} of {len(names)} | {more} | "
            f"{sign_test(fewer, more):.2g} | {_share(*fine)} |"
        )
    below = [n for n in names if by[n, VERIFIED].end < by[n, CONTROL].end]
    yield ""
    yield (
        f"Below the control without feedback, verified attribution ends in {len(below)} of "
        f"{len(names)} systems."
    )


def _logs(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [math.log(a / b) for a, b in zip(ours, theirs, strict=True)]


def _share(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """The geometric mean of the ratios, with its 95 % interval."""
    logs = _logs(ours, theirs)
    low, high = (math.exp(end) for end in bootstrap_interval(logs))
    return f"{math.exp(statistics.mean(logs)):.2f} [{low:.2f}, {high:.2f}]"


def _censored(runs: float | None, budget: int) -> float:
    """An arm that never got there took more than the budget; it counts as the budget."""
    return float(budget) if runs is None else min(float(budget), max(1.0, runs))


def plot(rows: Sequence[Row], path: Path, budget: int) -> None:
    """Mean success, as a share of the best configuration's, by runs spent."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "agentracer"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.2, 4.2))
    grid = range(0, budget + 1, 2)
    for arm in ARMS:
        mine = [row for row in rows if row.arm == arm]
        if not mine:
            continue
        means = [statistics.mean(_at(row, runs) / row.best for row in mine) for runs in grid]
        style: dict[str, Any] = {"linewidth": 2.4} if arm == VERIFIED else {"linewidth": 1.2}
        style["linestyle"] = "--" if arm in (*BANDITS, "exhaustive") else "-"
        axes.plot(list(grid), means, label=arm, **style)
    axes.axhline(_MARK, color="grey", linewidth=0.8, linestyle=":")
    axes.set_xlabel("runs spent, replays included")
    axes.set_ylabel("success, as a share of the best configuration's")
    axes.set_ylim(0, 1.02)
    axes.legend(fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def _at(row: Row, runs: int) -> float:
    return [share for spent, share in row.points if spent <= runs][-1]


def write(text: str, path: Path) -> None:
    """Put the report between the marks of a file."""
    whole = path.read_text(encoding="utf-8")
    before, found, rest = whole.partition(BEGIN)
    if not found or END not in rest:
        raise SystemExit(f"{path}: the marks {BEGIN} and {END} are not both there")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def known_rows(path: Path | None) -> list[Row]:
    if path is None or not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Row(**json.loads(line)) for line in lines]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True, help="holds gsm8k/ and mbppplus/")
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    parser.add_argument(
        "--systems", type=int, default=8, help="of each family; 0: only report the rows"
    )
    parser.add_argument("--first", type=int, default=9_000, help="seed of the first system")
    parser.add_argument("--tasks", type=int, default=30)
    parser.add_argument("--budget", type=int, default=360, help="runs of one arm on one system")
    parser.add_argument("--batch", type=int, default=6, help="tasks that are new in a round")
    parser.add_argument("--failures", type=int, default=3, help="failures that a round looks into")
    parser.add_argument("--per-round", type=int, default=2, help="slots that change in a round")
    parser.add_argument("--rows", type=Path, help="keep results there, and go on with them")
    parser.add_argument("--docs", type=Path, help="write table and plot there")
    options = parser.parse_args(arguments)
    rows = known_rows(options.rows)
    wanted = systems(
        options.data, options.families, options.systems, options.first, options.tasks
    ) if options.systems else ()  # fmt: skip
    finished = {(row.system, row.arm) for row in rows}
    for name, seed, plant in wanted:
        settings = Settings(
            options.budget, options.batch, options.failures, seed, options.per_round
        )
        for arm in ARMS:
            if (name, arm) in finished:
                continue
            row = measured(name, plant, settings, arm)
            rows.append(row)
            print(f"{name:<14}{arm:<20}{row.lasting!s:>8}{row.end:>7.2f}", flush=True)
            if options.rows is not None:
                with options.rows.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(row)) + "\n")
    text = report(rows, options)
    print(text)
    if options.docs is not None:
        plot(rows, options.docs.parent / "img" / "evolution.svg", options.budget)
        write(text, options.docs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
