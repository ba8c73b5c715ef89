"""What capture costs: per event, on a whole run beside OpenInference, on a loop, in memory.

    python benchmarks/capture.py [--part cost] [--part loop] [--part memory]
                                 [--framework NAME ...] [--rounds N] [--runs N] [--json FILE]

Ours is durable: every event is redacted and on disk before the host goes on. OpenInference exports
to memory. CPU time of this process; the variants take turns, so that a loaded machine hits them
alike; what is added is against the plain run. `capture_limits` says how the other parts measure.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ["AGENTRACER_HOME"] = tempfile.mkdtemp(prefix="agentracer-benchmark-")
os.environ.setdefault("LANGSMITH_TRACING", "false")

from capture_limits import CONCURRENT_RUNS, delays_on_a_loop, memory_by_runs
from workloads import LLM_CALLS, WORKLOADS, Workload, openinference

import agentracer
from agentracer.recorder import RunRecorder
from agentracer.store import Store

EVENT_BYTES = 2_000
STEPS = 2 * LLM_CALLS
MODULES = {
    "langgraph": "langchain",
    "autogen": "autogen_agentchat",
    "camel": "camel",
    "openai": "openai",
}


@contextmanager
def ours(framework: str) -> Any:
    """Capture in place."""
    agentracer.instrument(framework)
    try:
        yield
    finally:
        agentracer.uninstrument()


def variants(name: str, workload: Workload) -> dict[str, Callable[[], AbstractContextManager[Any]]]:
    """What the run is measured with: nothing, ours, and OpenInference where it is installed."""
    found: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "none": nullcontext,
        "agentracer": lambda: ours(name),
    }
    if all(_installed(instrumentor) for instrumentor in workload.instrumentors):
        found["openinference"] = lambda: openinference(workload.instrumentors)
    return found


def _installed(instrumentor: str) -> bool:
    try:
        return find_spec(instrumentor.partition(":")[0]) is not None
    except ModuleNotFoundError:
        return False


def measure(name: str, rounds: int) -> dict[str, list[float]]:
    """CPU milliseconds of a run, by variant; the first two rounds only warm up."""
    workload = WORKLOADS[name]
    choices = variants(name, workload)
    times: dict[str, list[float]] = {variant: [] for variant in choices}
    with workload.start() as run:
        for number in range(rounds + 2):
            for variant, context in choices.items():
                with context():
                    started = time.process_time()
                    run()
                    taken = (time.process_time() - started) * 1e3
                if number >= 2:
                    times[variant].append(taken)
    return times


def microseconds_per_event(events: int = 4_000) -> float:
    """Wall time of one durable event of 2 kB: a step that ends with that much text."""
    with agentracer.record("benchmark") as run:
        recorder: RunRecorder = run.recorder
        filler = "lorem ipsum dolor " * (EVENT_BYTES // 18)
        texts = [f"{number} {filler}" for number in range(events)]
        step = recorder.begin_step("agent")
        started = time.perf_counter()
        for text in texts:
            recorder.end_step(step, content=text)
        elapsed = time.perf_counter() - started
    written = Store().home / "traces" / f"{run.id}.jsonl"
    if written.stat().st_size < events * EVENT_BYTES * 0.9:
        raise AssertionError("not every event is on disk")
    return elapsed / events * 1e6


def report(name: str, times: dict[str, list[float]]) -> dict[str, Any]:
    """Print the figures of one framework and return them."""
    runs = len(times["none"])
    print(f"\n{name}: {LLM_CALLS} model and {LLM_CALLS} tool calls, CPU ms of {runs} runs")
    base = min(times["none"])
    facts: dict[str, Any] = {}
    for variant, taken in times.items():
        added = min(taken) - base
        facts[variant] = {
            "min": min(taken),
            "median": statistics.median(taken),
            "ratio": min(taken) / base,
            "added_per_step": added / STEPS,
        }
        print(
            f"  {variant:<14} min {min(taken):7.1f}  median {statistics.median(taken):7.1f}  "
            f"x{min(taken) / base:.2f}  added per step {added / STEPS:+.3f}"
        )
    if "openinference" in facts:
        share = facts["agentracer"]["added_per_step"] / facts["openinference"]["added_per_step"]
        facts["share_of_openinference"] = share
        print(f"  added by ours / added by OpenInference: {share:.2f}")
    return facts


def report_loop() -> dict[str, float]:
    """Print how late events reach the disk on a busy loop."""
    delays = delays_on_a_loop()
    figures = {f"p{share}": delays[len(delays) * share // 100] for share in (50, 95, 99)}
    figures["max"] = delays[-1]
    shown = "  ".join(f"{name} {value:.1f}" for name, value in figures.items())
    print(f"\n{len(delays):,} events of {CONCURRENT_RUNS} runs on one loop, ms to disk: {shown}")
    return figures


def report_memory(runs: int) -> dict[str, float]:
    """Print how the memory of the process develops over many runs."""
    sizes = memory_by_runs(runs, max(1, runs // 10))
    print(f"\nresident MB after runs, {runs:,} in all: ", end="")
    print("  ".join(f"{number:,}: {size:.1f}" for number, size in sizes))
    growth = (sizes[-1][1] - sizes[1][1]) / (sizes[-1][0] - sizes[1][0]) * 1e3
    print(f"  after the first fifth {growth:+.3f} MB a 1,000 runs")
    return {str(number): size for number, size in sizes} | {"growth_per_1000": growth}


def report_cost(frameworks: Sequence[str], rounds: int) -> dict[str, Any]:
    """Print what an event costs, and what capture adds to a run of each framework."""
    per_event = microseconds_per_event()
    print(f"durable event of {EVENT_BYTES} bytes: {per_event:.1f} µs")
    result: dict[str, Any] = {"microseconds_per_event": per_event}
    for name in frameworks:
        if find_spec(MODULES[name]) is None:
            print(f"\n{name}: not installed")
            continue
        result[name] = report(name, measure(name, rounds))
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="append", choices=("cost", "loop", "memory"))
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--framework", action="append", choices=sorted(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    parts = options.part or ("cost", "loop", "memory")
    result: dict[str, Any] = {}
    if "cost" in parts:
        result |= report_cost(options.framework or list(WORKLOADS), options.rounds)
    if "loop" in parts:
        result["loop"] = report_loop()
    if "memory" in parts:
        result["memory"] = report_memory(options.runs)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
