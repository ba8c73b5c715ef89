"""Measure the search for the decisive step without an oracle on systems that are known exactly.

    python benchmarks/proof.py --runs 500 --rows build/proof.jsonl --docs docs/proof.md

A simulated system is its success curve V(0)..V(T): replaying a prefix is one draw. Each kind of
system is drawn anew for each run; the priors are uniform, good (0.6 of the mass on three
neighbouring steps, the right one among them) and last (the right step comes last, with no mass at
all). Printed for each kind and prior, with 95 % intervals:

    top        the most probable answer is right
    covered    the 90 % set holds the right answer
    size       mean size of that set; size/T beside it
    never      "never succeeds" was said
    confirmed  an exact test confirmed a step; false: a step that is not decisive
    cost       replayed steps, as a share of what 16 replays of every prefix take

and, for one fall of at least 0.5, the adaptive binary search of arXiv 2605.17113 with several
numbers of draws for each probe, with its threshold of 0.5 and with one of half of the rate of fresh
runs. No model is called. Finished rows are appended to the file of `--rows`; a second call makes
those that are missing. Rows that another version of the search made are not used.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev

import agentracer.replay.success_curve as package
from agentracer import statistics
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


def last_prior(rng: random.Random, steps: int, right: frozenset[Answer]) -> list[float]:
    """Wrong steps in a random order, each with 0.8 of the mass of the one before; no right one."""
    order = [step for step in range(steps) if step not in right]
    rng.shuffle(order)
    prior = [0.0] * steps
    for place, step in enumerate(order, start=1):
        prior[step] = 0.8**place
    return prior


def _peaked(steps: int, peak: Sequence[int]) -> list[float]:
    rest = max(1, steps - len(peak))
    return [0.6 / len(peak) if step in peak else 0.4 / rest for step in range(steps)]


PRIORS: dict[str, Callable[[random.Random, int, frozenset[Answer]], list[float] | None]] = {
    "uniform": lambda rng, steps, right: None,  # noqa: ARG005 - one signature for all
    "good": good_prior,
    "last": last_prior,
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
    live_of_test: int
    exhaustive: int


def simulate(kind: str, prior: str, number: int, length: int | None = None) -> Row:
    """Search one system. The same arguments give the same row; priors share systems and draws."""
    rng = random.Random(f"{kind} {number}")
    steps = length or rng.choice(LENGTHS)
    curve = KINDS[kind](rng, steps)
    right = right_answers(curve)
    shares = PRIORS[prior](random.Random(f"{kind} {number} prior"), steps, right)
    plan = search(steps, prior=shares, settings=SearchSettings(), seed=number)
    live, live_of_test = 0, 0
    draws = random.Random(f"{kind} {number} draws")
    try:
        batch = next(plan)
        while True:
            cost = sum(steps - prefix for prefix in batch.prefixes)
            live += cost
            live_of_test += cost if batch.purpose == "confirm" else 0
            outcomes = [draws.random() < curve[prefix] for prefix in batch.prefixes]
            batch = plan.send(outcomes)
    except StopIteration as stop:
        found = stop.value
    test = found.confirmation
    passed = test is not None and test.passed and test.step == found.top
    passed = passed and found.posterior[found.top] >= found.level
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
        live_of_test=live_of_test,
        exhaustive=REPLAYS_OF_EXHAUSTIVE * steps * (steps + 1) // 2,
    )


# -- the binary search of arXiv 2605.17113


@dataclass(frozen=True)
class BinaryRow:
    """What one binary search showed."""

    draws: int
    threshold: str
    top: bool
    live: int


def binary_search(number: int, draws: int, threshold: str) -> BinaryRow:
    """Find the first prefix whose rate is below a threshold, then refine the largest jump.

    Args:
        number: of the run; systems are those of `simulate`.
        draws: replays of each prefix that is looked at.
        threshold: `0.5` as published, or `half` of the rate of fresh runs.
    """
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

    least = 0.5 if threshold == "0.5" else measure(0) / 2
    measure(0)
    low, high = 0, steps
    while high - low > 1:
        middle = (low + high) // 2
        if measure(middle) < least:
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
    return BinaryRow(draws, threshold, low in right_answers(curve), live)


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
    uniform = [row for row in rows if row.prior == "uniform"]
    large = [row for row in uniform if row.kind == "one fall, 0.5 to 1"]
    long = [row for row in large if row.steps >= 8]
    rest = [row for row in uniform if row not in long]
    yield f"one fall of at least 0.5, T >= 8: {_cost(long)} of the steps of exhaustive replays"
    yield f"all others: {_cost(rest)}"
    falls = ("one fall, 0.5 to 1", "one fall, 0.2 to 0.5")
    for names in (falls, falls[:1], falls[1:]):
        long_runs = [row for row in rows if row.steps >= 10 and row.kind in names]
        good = [row.live for row in long_runs if row.prior == "good"]
        none = [row.live for row in long_runs if row.prior == "uniform"]
        if len(good) > 1 and len(none) == len(good):
            share = _ratio(good, none)
            yield f"a good prior, {' and '.join(names)}, T >= 10: {share} of the steps without one"
    right = _share([row.top for row in large])
    all_steps = mean(row.live for row in large)
    searched = all_steps - mean(row.live_of_test for row in large)
    yield (
        f"this search: right {right} %, {all_steps:.0f} replayed steps, {searched:.0f} of them "
        "before the exact test"
    )
    for threshold, draws in sorted({(row.threshold, row.draws) for row in binary}):
        mine = [row for row in binary if (row.threshold, row.draws) == (threshold, draws)]
        steps = f"{mean(row.live for row in mine):.0f} replayed steps"
        name = f"binary search, threshold {threshold}, {draws} draws a probe"
        yield f"{name}: right {_share([row.top for row in mine])} %, {steps}"


def _cost(rows: Sequence[Row]) -> str:
    shares = [row.live / row.exhaustive for row in rows]
    half = 1.96 * stdev(shares) / len(shares) ** 0.5
    return f"{mean(shares):.3f} ± {half:.3f} (n = {len(shares)})"


def _ratio(first: Sequence[int], second: Sequence[int]) -> str:
    """The ratio of two means of pairs, with a 95 % interval (delta method)."""
    ratio = mean(first) / mean(second)
    rest = [a - ratio * b for a, b in zip(first, second, strict=True)]
    half = 1.96 * stdev(rest) / len(rest) ** 0.5 / mean(second)
    return f"{ratio:.3f} ± {half:.3f} (n = {len(rest)})"


# -- rows on disk


def fingerprint() -> str:
    """A hash of the code that is measured: rows of other code are not mixed with its own."""
    digest = hashlib.blake2b(Path(statistics.__file__).read_bytes(), digest_size=8)
    for folder in package.__path__:
        for name in ("definition", "posterior", "planning", "search"):
            digest.update((Path(folder) / f"{name}.py").read_bytes())
    digest.update(Path(__file__).read_bytes().partition(b"# -- tables")[0])
    return digest.hexdigest()


def load(path: Path, code: str) -> dict[tuple[str, str, int], Row]:
    """The finished rows of a version of the code, by kind, prior and number."""
    rows = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        data = json.loads(line)
        if data["code"] == code:
            rows[data["row"]["kind"], data["row"]["prior"], data["number"]] = Row(**data["row"])
    return rows


def complete(jobs: Sequence[tuple[str, str, int]], path: Path, processes: int) -> list[Row]:
    """Make the rows that are missing, and return those of all jobs."""
    code = fingerprint()
    rows = load(path, code)
    missing = [job for job in jobs if job not in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(processes) as pool, path.open("a", encoding="utf-8") as file:
        for job, row in zip(missing, pool.map(_simulate, missing, chunksize=5), strict=True):
            rows[job] = row
            line = {"code": code, "number": job[2], "row": asdict(row)}
            file.write(json.dumps(line) + "\n")
            file.flush()
    return [rows[job] for job in jobs]


def _simulate(job: tuple[str, str, int]) -> Row:
    return simulate(*job)


def write_docs(path: Path, lines: Sequence[str]) -> None:
    """Put the figures between the markers of a page."""
    text = path.read_text(encoding="utf-8")
    block = "\n".join(["<!-- simulation: begin -->", *lines, "<!-- simulation: end -->"])
    pattern = "<!-- simulation: begin -->.*<!-- simulation: end -->"
    new, count = re.subn(pattern, lambda _: block, text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"{path} has no block between simulation: begin and simulation: end")
    path.write_text(new, encoding="utf-8")


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
    parser.add_argument("--rows", type=Path, default=Path("build/proof.jsonl"))
    parser.add_argument("--docs", type=Path, help="page whose figures are replaced")
    options = parser.parse_args()
    numbers = range(options.first, options.first + options.runs)
    # One run of each before the next, so that a run that is stopped early is balanced.
    jobs = [(kind, prior, n) for n in numbers for kind in options.kinds for prior in options.priors]
    rows = complete(jobs, options.rows, options.processes)
    binary = [
        binary_search(n, draws, threshold)
        for threshold in ("0.5", "half")
        for draws in (4, 8, 12, 16, 24)
        for n in numbers
    ]
    lines = list(report(rows))
    if "uniform" in options.priors and "one fall, 0.5 to 1" in options.kinds:
        lines += ["", *(f"- {claim}" for claim in claims(rows, binary))]
    print("\n".join(lines))
    if options.docs is not None:
        write_docs(options.docs, lines)


if __name__ == "__main__":
    main()
