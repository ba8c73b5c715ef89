"""How often the embedded tracer blames an agent in a run that did not fail.

    python benchmarks/abstention.py [--runs 720] [--seed 20] [--model embedded]

Plays fresh runs of the testbed's 27 systems, of another seed than any data that the tracer was
trained on and with the testbed's own problems alone, and lets the tracer judge all of them: those
that succeeded and, for comparison, those that failed. Each is judged as recorded, and once more
with its outcome unknown. *Calibrated* means blamed in a verdict that is calibrated.
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
    args = parser.parse_args()
    with Worker(Settings()) as worker:
        traces = [worker.play(item) for item in items(DOMAINS, FRAMEWORKS, args.runs, args.seed)]
    plain, strict = Tracer(args.model), Tracer(args.model, target_error=_TARGET)
    for name, success in (("succeeded", True), ("failed", False)):
        runs = [trace for trace in traces if trace.outcome.success is success]
        unknown = [unchecked(trace) for trace in runs]
        print(f"{len(runs)} runs that {name}")
        report("  as recorded, blamed", runs, plain)
        report("  outcome unknown, blamed", unknown, plain)
        report("  outcome unknown, blamed, calibrated", unknown, plain, calibrated_only=True)
        report(f"  outcome unknown, target error {_TARGET:.0%}, blamed", unknown, strict)


def unchecked(trace: Trace) -> Trace:
    """The run with its outcome unknown."""
    outcome = trace.outcome.model_copy(update={"success": None})
    observed = trace.observed.model_copy(update={"outcome": outcome})
    return trace.model_copy(update={"observed": observed})


def report(
    name: str, runs: Iterable[Trace], tracer: Tracer, *, calibrated_only: bool = False
) -> None:
    """Print in which share of the runs an agent is blamed."""
    verdicts = [tracer.attribute(run) for run in runs]
    blamed = [v for v in verdicts if v.agent is not None and (v.calibrated or not calibrated_only)]
    rate = Rate(len(blamed), len(verdicts))
    low, high = rate.interval
    print(f"{name:46} {100 * rate.value:5.1f} % [{100 * low:.1f}, {100 * high:.1f}]")


if __name__ == "__main__":
    main()
