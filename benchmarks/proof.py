"""Measure the search for the decisive step without an oracle on systems that are known exactly.

    python benchmarks/proof.py --runs 500 --out build/proof.json

A simulated system is its success curve V(0)..V(T): replaying a prefix is one draw. Each kind of
system is drawn anew for each run; the priors are uniform, good (0.6 of the mass on three
neighbouring steps, the right one among them) and bad (0.6 on the last three steps, and the right
step is not one of them). Printed for each kind and prior, with 95 % intervals:

    top        the most probable answer is right
    covered    the 90 % set holds the right answer
    size       mean size of that set; size/T beside it
    never      "never succeeds" was said
    confirmed  an exact test confirmed a step; false: a step that is not decisive
    cost       replayed steps, as a share of what 16 replays of every prefix take

and, for one fall of at least 0.5, the adaptive binary search of arXiv 2605.17113 with several
numbers of draws for each probe. No model is called.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean

from agentracer.replay.success_curve.definition import MIN_LOSS, MIN_SHARE, lasting_losses
from agentracer.replay.success_curve.posterior import NEVER, NO_SINGLE_STEP, Answer
from agentracer.replay.success_curve.search import SearchSettings, search
from agentracer.statistics import wilson

LENGTHS = (5, 8, 12, 20, 30, 60)
REPLAYS_OF_EXHAUSTIVE = 16

Curve = list[float]


# -- systems


def one_fall(rng: random.Random, steps: int, low: float, high: float) -> Curve:
    """V falls from a level between `low` and `high` to 0, at one step."""
    level, step = rng.uniform(low, high), rng.randrange(steps)
    return [level] * (step + 1) + [0.0] * (steps - step)


def several_falls(rng: random.Random, steps: int) -> Curve:
    """V falls two or three times, by amounts of any size."""
    falls = sorted(rng.sample(range(steps), rng.choice([2, 3])))
    levels = [*sorted((rng.uniform(0.3, 1.0) for _ in falls), reverse=True), 0.0]
    return [levels[sum(step < k for step in falls)] for k in range(steps + 1)]


def rise(rng: random.Random, steps: int) -> Curve:
    """V is at most 0.1 at the start, rises to at least 0.5 by a lucky step, and is lost later."""
    up, down = sorted(rng.sample(range(steps), 2))
    low, high = rng.uniform(0.0, 0.1), rng.uniform(0.5, 1.0)
    return [low] * (up + 1) + [high] * (down - up) + [0.0] * (steps - down)


def slow_decline(rng: random.Random, steps: int) -> Curve:
    """V falls by the same amount with every step."""
    start = rng.uniform(0.6, 1.0)
    return [start * (1 - k / steps) for k in range(steps + 1)]


def repaired(rng: random.Random, steps: int) -> Curve:
    """V falls, a later step repairs that, and another loses it for good."""
    first, second, third = sorted(rng.sample(range(steps), 3))
    high, low = rng.uniform(0.6, 1.0), rng.uniform(0.0, 0.3)
    return [
        high if k <= first or second < k <= third else low if k <= second else 0.0
        for k in range(steps + 1)
    ]


def tie(rng: random.Random, steps: int) -> Curve:
    """V falls twice by the same amount: either step counts."""
    first, second = sorted(rng.sample(range(steps), 2))
    start = rng.uniform(0.6, 1.0)
    return [start if k <= first else start / 2 if k <= second else 0.0 for k in range(steps + 1)]


def hopeless(rng: random.Random, steps: int) -> Curve:
    """V is at most 0.01 everywhere."""
    return [rng.choice([0.0, rng.uniform(0.0, 0.01)])] * steps + [0.0]


KINDS: dict[str, Callable[[random.Random, int], Curve]] = {
    "one fall, 0.5 to 1": lambda rng, steps: one_fall(rng, steps, 0.5, 1.0),
    "one fall, 0.2 to 0.5": lambda rng, steps: one_fall(rng, steps, 0.2, 0.5),
    "several falls": several_falls,
    "rise, then fall": rise,
    "slow decline": slow_decline,
    "repaired fall": repaired,
    "tie": tie,
    "never": hopeless,
}


def right_answers(curve: Curve) -> frozenset[Answer]:
    """What may be answered of a curve that is known exactly; of equal losses either counts."""
    if max(curve) <= 0.01:
        return frozenset({NEVER})
    losses = lasting_losses(curve)
    least = max(MIN_LOSS, MIN_SHARE * sum(losses)) - 1e-9
    steps = [step for step, loss in enumerate(losses) if loss >= least]
    return frozenset(steps) if steps else frozenset({NO_SINGLE_STEP})


# -- priors


def good_prior(rng: random.Random, steps: int, right: frozenset[Answer]) -> list[float]:
    """0.6 of the mass lies on three neighbouring steps, a right one among them."""
    named = [answer for answer in right if isinstance(answer, int)]
    centre = rng.choice(named) if named else rng.randrange(steps)
    start = min(max(0, centre - rng.randrange(3)), max(0, steps - 3))
    return _peaked(steps, range(start, min(steps, start + 3)))


def bad_prior(rng: random.Random, steps: int, right: frozenset[Answer]) -> list[float]:
    """0.6 of the mass lies on three steps that are wrong; the right ones come last."""
    wrong = [step for step in range(steps) if step not in right]
    prior = _peaked(steps, rng.sample(wrong, min(3, len(wrong))))
    for step in right:
        if isinstance(step, int):
            prior[step] = 0.0
    return prior


def _peaked(steps: int, peak: Sequence[int]) -> list[float]:
    rest = max(1, steps - len(peak))
    return [0.6 / len(peak) if step in peak else 0.4 / rest for step in range(steps)]


PRIORS: dict[str, Callable[[random.Random, int, frozenset[Answer]], list[float] | None]] = {
    "uniform": lambda rng, steps, right: None,  # noqa: ARG005 - one signature for all
    "good": good_prior,
    "bad": bad_prior,
}


# -- one run


@dataclass(frozen=True)
class Row:
    """What one simulated search showed."""

    kind: str
    prior: str
    steps: int
    fall: float
    top: bool
    covered: bool
    size: int
    said_never: bool
    confirmed: bool
    falsely_confirmed: bool
    replays: int
    live: int
    exhaustive: int


def simulate(kind: str, prior: str, number: int, length: int | None = None) -> Row:
    """Search one system. The same arguments give the same row; priors share systems and draws."""
    rng = random.Random(f"{kind} {number}")
    steps = length or rng.choice(LENGTHS)
    curve = KINDS[kind](rng, steps)
    right = right_answers(curve)
    shares = PRIORS[prior](random.Random(f"{kind} {number} prior"), steps, right)
    plan = search(steps, prior=shares, settings=SearchSettings(), seed=number)
    live, outcomes = 0, None
    draws = random.Random(f"{kind} {number} draws")
    try:
        batch = next(plan)
        while True:
            live += sum(steps - prefix for prefix in batch.prefixes)
            outcomes = [draws.random() < curve[prefix] for prefix in batch.prefixes]
            batch = plan.send(outcomes)
    except StopIteration as stop:
        found = stop.value
    test = found.confirmation
    passed = test is not None and test.passed
    return Row(
        kind=kind,
        prior=prior,
        steps=steps,
        fall=max(lasting_losses(curve)),
        top=found.top in right,
        covered=bool(set(found.answers) & right),
        size=len(found.answers),
        said_never=found.top == NEVER,
        confirmed=passed,
        falsely_confirmed=passed and test is not None and test.step not in right,
        replays=found.replays,
        live=live,
        exhaustive=REPLAYS_OF_EXHAUSTIVE * steps * (steps + 1) // 2,
    )


# -- the binary search of arXiv 2605.17113


@dataclass(frozen=True)
class BinaryRow:
    """What one binary search showed."""

    draws: int
    top: bool
    live: int


def binary_search(number: int, draws: int) -> BinaryRow:
    """Find the first prefix from which more than half fail, then refine the largest jump."""
    kind = "one fall, 0.5 to 1"
    rng = random.Random(f"{kind} {number}")
    steps = rng.choice(LENGTHS)
    curve = KINDS[kind](rng, steps)
    flips = random.Random(f"{kind} {number} {draws}")
    measured: dict[int, float] = {steps: 0.0}
    live = 0

    def measure(prefix: int) -> float:
        nonlocal live
        if prefix not in measured:
            live += draws * (steps - prefix)
            measured[prefix] = mean(flips.random() < curve[prefix] for _ in range(draws))
        return measured[prefix]

    measure(0)
    low, high = 0, steps
    while high - low > 1:
        middle = (low + high) // 2
        if measure(middle) < 0.5:
            high = middle
        else:
            low = middle
    for _ in range(8):
        tried = sorted(measured)
        jumps = [(measured[a] - measured[b], a, b) for a, b in pairwise(tried)]
        _, low, high = max(jumps)
        if high - low <= 1:
            break
        measure((low + high) // 2)
    return BinaryRow(draws, low in right_answers(curve), live)


# -- tables


def report(rows: Sequence[Row]) -> Iterator[str]:
    """The table of all kinds and priors."""
    names = ["system", "prior", "n", "top", "covered", "size", "size/T"]
    names += ["never", "confirmed", "false", "cost"]
    yield "| " + " | ".join(names) + " |"
    yield "|---" * len(names) + "|"
    for kind in KINDS:
        for prior in PRIORS:
            mine = [row for row in rows if (row.kind, row.prior) == (kind, prior)]
            if mine:
                yield "| " + " | ".join(_cells(kind, prior, mine)) + " |"


def _cells(kind: str, prior: str, rows: Sequence[Row]) -> Iterator[str]:
    yield kind
    yield prior
    yield str(len(rows))
    yield _share([row.top for row in rows])
    yield _share([row.covered for row in rows])
    yield f"{mean(row.size for row in rows):.2f}"
    yield f"{mean(row.size / row.steps for row in rows):.2f}"
    for name in ("said_never", "confirmed", "falsely_confirmed"):
        yield _share([getattr(row, name) for row in rows])
    yield f"{mean(row.live / row.exhaustive for row in rows):.3f}"


def _share(values: Sequence[bool]) -> str:
    low, high = wilson(sum(values), len(values))
    return f"{100 * mean(values):.1f} [{100 * low:.0f}, {100 * high:.0f}]"


def claims(rows: Sequence[Row], binary: Sequence[BinaryRow]) -> Iterator[str]:
    """The comparisons: with replaying every prefix, with no prior, with a binary search."""
    large = [row for row in rows if row.kind == "one fall, 0.5 to 1" and row.prior == "uniform"]
    long = [row.live / row.exhaustive for row in large if row.steps >= 8]
    rest = [
        row.live / row.exhaustive
        for row in rows
        if row.prior == "uniform" and not (row.kind == "one fall, 0.5 to 1" and row.steps >= 8)
    ]
    yield f"one fall of at least 0.5, T >= 8: {mean(long):.3f} of the steps of exhaustive replays"
    yield f"all others: {mean(rest):.3f}"
    pairs = [(row.kind, row.steps, row.prior, row.live) for row in rows if row.steps >= 10]
    falls = ("one fall, 0.5 to 1", "one fall, 0.2 to 0.5")
    good = sum(live for kind, _, prior, live in pairs if prior == "good" and kind in falls)
    none = sum(live for kind, _, prior, live in pairs if prior == "uniform" and kind in falls)
    yield f"a good prior, one fall, T >= 10: {good / none:.3f} of the steps without one"
    ours = mean(row.top for row in large), mean(row.live for row in large)
    yield f"this search: right {100 * ours[0]:.1f} %, {ours[1]:.0f} replayed steps"
    for draws in sorted({row.draws for row in binary}):
        mine = [row for row in binary if row.draws == draws]
        yield (
            f"binary search, {draws} draws a probe: right {100 * mean(r.top for r in mine):.1f} %, "
            f"{mean(r.live for r in mine):.0f} replayed steps"
        )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=500, help="of each kind and prior")
    parser.add_argument("--first", type=int, default=0, help="number of the first run")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--priors", nargs="*", default=list(PRIORS), choices=list(PRIORS))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("build/proof.json"))
    options = parser.parse_args()
    numbers = range(options.first, options.first + options.runs)
    jobs = [(k, p, n) for k in options.kinds for p in options.priors for n in numbers]
    with ProcessPoolExecutor(options.processes) as pool:
        rows = list(pool.map(simulate, *zip(*jobs, strict=True), chunksize=10))
        tries = [(n, draws) for draws in (4, 8, 12, 16, 24) for n in numbers]
        binary = list(pool.map(binary_search, *zip(*tries, strict=True), chunksize=50))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    data = {"rows": [asdict(row) for row in rows], "binary": [asdict(row) for row in binary]}
    options.out.write_text(json.dumps(data) + "\n", encoding="utf-8")
    for line in report(rows):
        print(line)
    print()
    if "uniform" in options.priors and "good" in options.priors:
        for line in claims(rows, binary):
            print(line)


if __name__ == "__main__":
    main()
