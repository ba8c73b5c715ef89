"""Which agent, and which step, made this multi-agent LLM run fail?

    import agentracer

    agentracer.instrument()
    with agentracer.record(task="...", check=lambda result: ...) as run:
        run.result = my_team(...)
    print(agentracer.Tracer().attribute(run.trace))

Importing this package imports next to nothing: each public name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agentracer._version import __version__

if TYPE_CHECKING:
    from agentracer.adapters.functions import agent, tool
    from agentracer.attribution import Tracer
    from agentracer.errors import AgentracerError
    from agentracer.evolution import aevolve, evolve
    from agentracer.failures import flush, on_failure
    from agentracer.instrumentation import instrument, uninstrument
    from agentracer.recording import Run, current_run, record
    from agentracer.store import Store
    from agentracer.trace import Label, Observed, Outcome, Step, ToolCall, Trace
    from agentracer.verdict import Candidate, Evidence, Verdict

__all__ = [
    "AgentracerError",
    "Candidate",
    "Evidence",
    "Label",
    "Observed",
    "Outcome",
    "Run",
    "Step",
    "Store",
    "ToolCall",
    "Trace",
    "Tracer",
    "Verdict",
    "__version__",
    "aevolve",
    "agent",
    "current_run",
    "evolve",
    "flush",
    "instrument",
    "on_failure",
    "record",
    "tool",
    "uninstrument",
]

_HOME = {
    "AgentracerError": "errors",
    "Candidate": "verdict",
    "Evidence": "verdict",
    "Label": "trace",
    "Observed": "trace",
    "Outcome": "trace",
    "Run": "recording",
    "Step": "trace",
    "Store": "store",
    "ToolCall": "trace",
    "Trace": "trace",
    "Tracer": "attribution",
    "Verdict": "verdict",
    "aevolve": "evolution",
    "agent": "adapters.functions",
    "current_run": "recording",
    "evolve": "evolution",
    "flush": "failures",
    "instrument": "instrumentation",
    "on_failure": "failures",
    "record": "recording",
    "tool": "adapters.functions",
    "uninstrument": "instrumentation",
}


def __getattr__(name: str) -> Any:
    if name == "evolution":  # a room, not a name in one: reached without importing it by hand
        return import_module("agentracer.evolution")
    if name not in _HOME:
        raise AttributeError(f"module 'agentracer' has no attribute {name!r}")
    value = getattr(import_module(f"agentracer.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
