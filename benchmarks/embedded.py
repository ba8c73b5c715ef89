"""Speed of the embedded tracer beside AgentDebugX's offline mode, in the same run.

    python benchmarks/embedded.py --whowhen DIR [--steps 50000]

Prints median, 95th percentile and maximum per trace for both (`pip install agentdebugx`; its row is
left out where it is not installed), on one core, how many times as long ours takes, and time and
memory of one very long trace. On a busy machine the processor time is the one to read.
AgentDebugX is run in its two ways without a model: `HeuristicAnalyzer.analyze` and the local
`DiagnosePipeline`, over its own trajectory type; turning a log into that type is not counted.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from agentracer.attribution import Tracer
from agentracer.formats import whowhen
from agentracer.trace import Observed, Outcome, Step, Trace

_REPEATS = 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whowhen", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=50_000)
    args = parser.parse_args()
    traces = whowhen.load_directory(args.whowhen)
    print(f"{len(traces)} logs; milliseconds per trace, best of {_REPEATS}, wall / processor")
    tracer, rules = Tracer("embedded"), Tracer("embedded:rules")
    ours = report("agentracer embedded", traces, tracer.attribute)
    report("agentracer embedded:rules", traces, rules.attribute)
    for name, theirs in agent_debug_x(traces).items():
        ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
        print(f"processor time, embedded / {name}: median {ratios[0]:.1f}, p95 {ratios[1]:.1f}")
    long_trace(args.steps, tracer)


def report(name: str, runs: Sequence[Any], judge: Callable[[Any], Any]) -> tuple[float, float]:
    """Time a function over runs and print a row; median and 95th percentile of processor time."""
    judge(runs[0])  # imports and caches are not what is measured
    timed = sorted((measure(judge, run) for run in runs), key=lambda pair: pair[0])
    walls, cpus = [wall for wall, _ in timed], sorted(cpu for _, cpu in timed)
    cells = [
        f"{label} {1_000 * walls[place]:7.1f} / {1_000 * cpus[place]:7.1f}"
        for label, place in (
            ("median", len(timed) // 2),
            ("p95", int(0.95 * len(timed))),
            ("max", len(timed) - 1),
        )
    ]
    print(f"{name:28}", "  ".join(cells))
    return cpus[len(cpus) // 2], cpus[int(0.95 * len(cpus))]


def measure(judge: Callable[[Any], Any], run: Any) -> tuple[float, float]:
    """The best wall and processor time of a few repeats, in seconds."""
    walls, cpus = [], []
    for _ in range(_REPEATS):
        wall, cpu = time.perf_counter(), time.process_time()
        judge(run)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls), min(cpus)


def agent_debug_x(traces: Sequence[Trace]) -> dict[str, tuple[float, float]]:
    """The rows of AgentDebugX, where it is installed."""
    try:
        ways, convert = _agent_debug_x()
    except ImportError as error:
        print(f"{'AgentDebugX offline':28} not measured: {error}")
        return {}
    version = metadata.version("agentdebugx")
    rows = {}
    for way, judge in ways.items():
        name = f"AgentDebugX {version} {way}"
        rows[name] = report(name, [convert(trace) for trace in traces], judge)
    return rows


def long_trace(count: int, tracer: Tracer) -> None:
    """One trace of very many steps: processor seconds and peak memory of the process."""
    steps = tuple(
        Step(
            index=index,
            agent=f"agent_{index % 7}",
            content=f"Note {index}: the total is {index * 7}, says Norbert, and so we go on.",
        )
        for index in range(count)
    )
    outcome = Outcome(success=False, answer="57")
    trace = Trace(id="long", observed=Observed(task="Find it", steps=steps, outcome=outcome))
    wall, cpu = time.perf_counter(), time.process_time()
    tracer.attribute(trace)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    spent = f"{time.perf_counter() - wall:.1f} s / {time.process_time() - cpu:.1f} s"
    print(f"{count} steps: {spent} (wall / processor), peak memory of the process {peak:.0f} MB")


def _agent_debug_x() -> tuple[dict[str, Callable[[Any], Any]], Callable[[Trace], Any]]:
    """Its two ways of judging without a model, and a function that makes its trajectories.

    Raises:
        ImportError: it is not installed.
    """
    agentdebug = import_module("agentdebug")

    def convert(trace: Trace) -> Any:
        trajectory = agentdebug.AgentTrajectory(goal=trace.task, framework="whowhen")
        kind = agentdebug.EventType.AGENT_STEP
        for step in trace.steps:
            trajectory.add_event(
                agentdebug.AgentEvent(
                    trace_id=trajectory.trace_id,
                    agent_name=step.agent,
                    event_type=kind,
                    step_index=step.index,
                    output=step.content,
                )
            )
        trajectory.add_event(
            agentdebug.AgentEvent(
                trace_id=trajectory.trace_id,
                agent_name="system",
                event_type=agentdebug.EventType.ERROR,
                error="the answer is wrong",
            )
        )
        return trajectory

    analyzer, pipeline = agentdebug.HeuristicAnalyzer(), agentdebug.DiagnosePipeline.local_default()
    return {"analyze": analyzer.analyze, "diagnose": pipeline.run}, convert


if __name__ == "__main__":
    main()
