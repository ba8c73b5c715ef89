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
from collections.abc import Iterable

from agentracer.attribution import Tracer
from agentracer.lab.collect.plan import items
from agentracer.lab.collect.worker import Settings, Worker
from agentracer.lab.testbed.systems import DOMAINS, FRAMEWORKS
from agentracer.statistics import Rate
from agentracer.trace import Trace

_TARGET = 0.3  # of wrong verdicts, for the row with a stated target


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=720)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--model", default="embedded")
    asked = parser.parse_args()
    with Worker(Settings()) as worker:
        traces = [worker.play(item) for item in items(DOMAINS, FRAMEWORKS, asked.runs, asked.seed)]
    plain, strict = Tracer(asked.model), Tracer(asked.model, target_error=_TARGET)
    for name, success in (("succeeded", True), ("failed", False)):
        runs = [trace for trace in traces if trace.outcome.success is success]
        unknown = [unchecked(trace) for trace in runs]
        print(f"{len(runs)} runs that {name}")
        report("  as recorded, blamed", runs, plain)
        report("  nobody checked, blamed", unknown, plain)
        report("  nobody checked, vouched for", unknown, plain, vouched=True)
        report(f"  nobody checked, target error {_TARGET:.0%}, blamed", unknown, strict)


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
