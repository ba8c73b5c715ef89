"""How often the embedded tracer blames somebody in a run that did not fail.

    python benchmarks/abstention.py [--runs 720] [--seed 20] [--model embedded]

Plays fresh runs of the testbed's 27 systems, of another seed than any data that the tracer was
trained on and without anybody else's problems, and lets the tracer judge all of them: those that
succeeded and, beside them, those that failed, for a tracer that never blames would pass, too. Each
is judged as recorded, and once more as if nobody had checked the answer. *Vouched for* means blamed
in a verdict that claims to be calibrated.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import agentracer
from agentracer.attribution import Tracer
from agentracer.bench.metrics import Rate
from agentracer.collect.plan import items, resolve
from agentracer.store import Store
from agentracer.testbed.systems import DOMAINS, FRAMEWORKS, Bench
from agentracer.trace import Trace

_TARGET = 0.3  # of wrong verdicts, for the row with a stated target


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=720)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--model", default="embedded")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["AGENTRACER_HOME"] = home
        traces = list(played(asked.runs, asked.seed, Path(home)))
    plain, strict = Tracer(asked.model), Tracer(asked.model, target_error=_TARGET)
    for name, success in (("succeeded", True), ("failed", False)):
        runs = [trace for trace in traces if trace.outcome.success is success]
        unknown = [unchecked(trace) for trace in runs]
        print(f"{len(runs)} runs that {name}")
        report("  as recorded, blamed", runs, plain)
        report("  nobody checked, blamed", unknown, plain)
        report("  nobody checked, vouched for", unknown, plain, vouched=True)
        report(f"  nobody checked, target error {_TARGET:.0%}, blamed", unknown, strict)


def played(count: int, seed: int, home: Path) -> Iterator[Trace]:
    """Runs of all systems in turn."""
    store = Store(home / "store")
    benches: dict[tuple[str, str], Bench] = {}
    with ExitStack() as opened:
        for item in items(DOMAINS, FRAMEWORKS, count, seed):
            domain, scene = resolve(item, None)
            key = (item.domain, item.framework)
            if key not in benches:
                agentracer.instrument(item.framework)
                benches[key] = opened.enter_context(Bench(domain, item.framework))
            benches[key].play(scene.policy(domain, item.seed))
            problem = scene.problem
            with agentracer.record(
                task=problem.question,
                ground_truth=problem.answer,
                check=partial(domain.check, problem),
                store=store,
            ) as run:
                run.result = benches[key].team(item.topology, item.seed % 3).solve(problem)
            if run.trace is not None:
                yield run.trace


def unchecked(trace: Trace) -> Trace:
    """The run as it looks where nobody checked its answer."""
    outcome = trace.outcome.model_copy(update={"success": None})
    observed = trace.observed.model_copy(update={"outcome": outcome})
    return trace.model_copy(update={"observed": observed})


def report(name: str, runs: Iterable[Trace], tracer: Tracer, *, vouched: bool = False) -> None:
    """Print in which share of the runs somebody is blamed."""
    verdicts = [tracer.attribute(run) for run in runs]
    blamed = [v for v in verdicts if v.agent is not None and (v.calibrated or not vouched)]
    rate = Rate(len(blamed), len(verdicts))
    low, high = rate.interval
    print(f"{name:46} {100 * rate.value:5.1f} % [{100 * low:.1f}, {100 * high:.1f}]")


if __name__ == "__main__":
    main()
