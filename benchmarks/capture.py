"""What capture costs: per event, and on a whole LangGraph run beside OpenInference.

    python benchmarks/capture.py [--rounds N] [--json FILE]

Ours is durable: every event is redacted and on disk before the host goes on. OpenInference exports
to memory. CPU time of this process; the variants take turns, so that a loaded machine hits them
alike; the added cost is against the plain run of the same round.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["AGENTRACER_HOME"] = tempfile.mkdtemp(prefix="agentracer-benchmark-")
os.environ.setdefault("LANGSMITH_TRACING", "false")

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool

import agentracer
from agentracer.recorder import RunRecorder
from agentracer.store import Store

LLM_CALLS = 25
EVENT_BYTES = 2_000


@tool
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


class CountingModel(BaseChatModel):
    """Calls the tool until it has done so often enough."""

    @property
    def _llm_type(self) -> str:
        return "counting"

    def bind_tools(self, *_: Any, **__: Any) -> Any:
        """The tool is called whether it is bound or not."""
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        done = sum(message.type == "tool" for message in messages)
        message = AIMessage("done")
        if done < LLM_CALLS:
            call = {"name": "add", "args": {"a": done, "b": 1}, "id": f"call-{done}"}
            message = AIMessage("I add one. " * 20, tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=message)])


def whole_run() -> float:
    """CPU milliseconds of one run: about 25 model calls and 25 tool calls."""
    agent = create_agent(CountingModel(), [add], system_prompt="You add.", name="adder")
    started = time.process_time()
    question: Any = {"messages": [("user", "count")]}
    agent.invoke(question, {"recursion_limit": 200})
    return (time.process_time() - started) * 1e3


def with_nothing() -> float:
    """The plain run."""
    return whole_run()


def with_agentracer() -> float:
    """The run captured by us, durably."""
    agentracer.instrument("langgraph")
    try:
        return whole_run()
    finally:
        agentracer.uninstrument()


def openinference() -> Callable[[], float] | None:
    """The run captured by OpenInference into memory; None where it is not installed."""
    try:
        from openinference.instrumentation.langchain import LangChainInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    except ModuleNotFoundError:
        return None
    # Its spans of long prompts exceed OpenTelemetry's limit of 128 attributes: the SDK warns, and
    # drops the rest. The limit stays as users have it.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)

    def measure() -> float:
        exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        instrumentor = LangChainInstrumentor()
        instrumentor.instrument(tracer_provider=provider)
        try:
            return whole_run()
        finally:
            instrumentor.uninstrument()

    return measure


def microseconds_per_event(events: int = 4_000) -> float:
    """Wall time of one durable event of 2 kB: a step that ends with that much text."""
    with agentracer.record("benchmark") as run:
        recorder: RunRecorder = run.recorder
        texts = [
            f"{number} " + "lorem ipsum dolor " * (EVENT_BYTES // 18) for number in range(events)
        ]
        step = recorder.begin_step("agent")
        started = time.perf_counter()
        for text in texts:
            recorder.end_step(step, content=text)
        elapsed = time.perf_counter() - started
    written = Store().home / "traces" / f"{run.id}.jsonl"
    if written.stat().st_size < events * EVENT_BYTES * 0.9:
        raise AssertionError("not every event is on disk")
    return elapsed / events * 1e6


def main() -> None:
    """Measure, print, and say whether the aims are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    variants: dict[str, Callable[[], float]] = {"none": with_nothing, "agentracer": with_agentracer}
    if (other := openinference()) is not None:
        variants["openinference"] = other
    times: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(options.rounds + 2):
        for name, measure in variants.items():
            taken = measure()
            if number >= 2:  # the first rounds warm up caches
                times[name].append(taken)
    result = report(times)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def report(times: dict[str, list[float]]) -> dict[str, Any]:
    """Print the figures and return them."""
    per_event = microseconds_per_event()
    print(f"durable event of {EVENT_BYTES} bytes: {per_event:.1f} µs (aim: at most 100)")
    print(f"\na LangGraph run of {LLM_CALLS} model and {LLM_CALLS} tool calls, CPU ms:")
    base = times["none"]
    result: dict[str, Any] = {"microseconds_per_event": per_event, "runs": {}}
    for name, taken in times.items():
        added = [one - plain for one, plain in zip(taken, base, strict=True)]
        facts = {
            "min": min(taken),
            "median": statistics.median(taken),
            "ratio": min(taken) / min(base),
            "added": min(taken) - min(base),
            "added_median": statistics.median(added),
        }
        result["runs"][name] = facts
        print(
            f"  {name:<14} min {facts['min']:7.1f}  median {facts['median']:7.1f}  "
            f"x{facts['ratio']:.2f}  added {facts['added']:+7.1f} "
            f"(median {facts['added_median']:+.1f})"
        )
    if "openinference" in times:
        ours, theirs = (result["runs"][n]["added"] for n in ("agentracer", "openinference"))
        result["added_share_of_openinference"] = ours / theirs
        print(f"\nadded by ours / added by OpenInference: {ours / theirs:.2f} (aim: at most 0.33)")
    return result


if __name__ == "__main__":
    main()
