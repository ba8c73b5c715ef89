"""Whether a trace holds enough to be judged, and what is missing where it does not.

Attribution asks this first: it abstains where a step cannot be told from another, and passes on
what else is missing as notes of the verdict.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agentracer.trace import Observed, Step, Trace

__all__ = ["CONTENT_SWITCHES", "Judgeability", "judgeability"]

_CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true"

CONTENT_SWITCHES = (
    ("openinference.", "unset OPENINFERENCE_HIDE_INPUTS and OPENINFERENCE_HIDE_OUTPUTS"),
    ("opentelemetry.instrumentation.openai_v2", f"set {_CAPTURE}"),
    ("opentelemetry.instrumentation.google_genai", f"set {_CAPTURE}"),
    ("opentelemetry.instrumentation.vertexai", f"set {_CAPTURE}"),
    ("opentelemetry.instrumentation.", "set TRACELOOP_TRACE_CONTENT=true"),
    ("gcp.vertex.agent", "set ADK_CAPTURE_MESSAGE_CONTENT_IN_SPANS=true"),
    ("pydantic-ai", "pass InstrumentationSettings(include_content=True)"),
    ("agent_framework", "set ENABLE_SENSITIVE_DATA=true"),
    (
        "semantic_kernel",
        "set SEMANTICKERNEL_EXPERIMENTAL_GENAI_ENABLE_OTEL_DIAGNOSTICS_SENSITIVE=true",
    ),
    ("langsmith", "unset LANGSMITH_HIDE_INPUTS and LANGSMITH_HIDE_OUTPUTS"),
)
"""By the beginning of an instrumentation scope, how its emitter is made to record contents."""

_ANY_EMITTER = (
    f"turn on the recording of contents in the instrumentation that wrote it, such as {_CAPTURE}"
)
_CUT = re.compile(
    r"(?:\.{3}|…)?\s{0,9}[\[(<](?:truncated|\d[\d,]* (?:more )?char)[^\n]{0,40}\Z", re.IGNORECASE
)
_END = 80  # characters at the end of a text in which a cut is marked
_MOST_CUT = 0.2  # share of the steps from which cut texts are mentioned


@dataclass(frozen=True, slots=True)
class Judgeability:
    """Whether a trace can be judged.

    Attributes:
        problem: why no step can be blamed; empty where one can.
        notes: what is missing beside that, with the remedy where one is known.
    """

    problem: str = ""
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether it can be judged."""
        return not self.problem


def judgeability(trace: Trace) -> Judgeability:
    """Check whether a trace holds what attribution needs. O(number of its steps).

    Args:
        trace: of any run.
    """
    return Judgeability(_problem(trace), tuple(_notes(trace)))


def _problem(trace: Trace) -> str:
    run = trace.observed
    if run.outcome.success is True:
        return "the run succeeded: there is no failure to attribute"
    if not run.steps:
        return "the trace has no steps"
    if not any(_has_content(step) for step in run.steps):
        return f"no step has any content: {_switch(trace)}, and record the run again"
    return ""


def _notes(trace: Trace) -> Iterator[str]:
    run = trace.observed
    if not run.steps or run.outcome.success is True:
        return
    empty = [step for step in run.steps if not _has_content(step)]
    if empty and len(empty) < len(run.steps):
        switch = f"; if they should, {_switch(trace)}" if _from_otel(trace) else ""
        yield f"{len(empty)} of {len(run.steps)} steps have no content{switch}"
    cut = sum(_is_cut(step) for step in run.steps)
    if cut > _MOST_CUT * len(run.steps):
        yield (
            f"{cut} of {len(run.steps)} texts are cut: raise the limit of the emitter on the "
            "length of attributes (OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT)"
        )
    lost = sum(trace.dropped.values())
    if lost:
        yield f"{lost:,} recorded events or attributes were lost; what they held is not judged"
    yield from _run_notes(run)


def _run_notes(run: Observed) -> Iterator[str]:
    if len(run.steps) == 1:
        yield "the run has a single step: there is none to tell it from"
    elif len(run.agent_names) == 1:
        yield "the trace names a single agent: steps are ranked, agents cannot be told apart"
    calls = [step for step in run.steps if step.kind == "llm"]
    if calls and all(step.reads is None for step in calls):
        yield "what the model calls read was not recorded; earlier steps are taken for it"
    if run.outcome.success is None:
        yield "the trace does not say whether the run failed"


def _has_content(step: Step) -> bool:
    return bool(step.content.strip() or step.error is not None) or any(
        call.arguments not in (None, {}, "") or call.result is not None or call.error is not None
        for call in step.tool_calls
    )


def _is_cut(step: Step) -> bool:
    return _CUT.search(step.content[-_END:]) is not None


def _from_otel(trace: Trace) -> bool:
    return trace.metadata.get("format") == "otel"


def _switch(trace: Trace) -> str:
    """How the emitter of a trace is made to record contents."""
    if not _from_otel(trace):
        return "record the texts of the messages"
    scopes = trace.metadata.get("scopes")
    for scope in scopes if isinstance(scopes, list) else ():
        for prefix, switch in CONTENT_SWITCHES:
            if isinstance(scope, str) and scope.startswith(prefix):
                return switch
    return _ANY_EMITTER
