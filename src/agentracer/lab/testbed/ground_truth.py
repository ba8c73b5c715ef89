"""Give the decisive step of a recorded run of the testbed, and the correction of every step.

The decisive step comes from the policy's own log, the corrections from the same policy without its
errors. No other module of the testbed reads traces.
"""

from __future__ import annotations

from typing import Any

from agentracer.lab.testbed.scenarios import Scenario
from agentracer.lab.testbed.server import ChatRequest
from agentracer.lab.testbed.team_policy import LoggedError, TeamPolicy
from agentracer.replay import OracleFunction, Override
from agentracer.trace import Message, Step, ToolRequest, Trace

__all__ = ["decisive_step", "oracle", "request_of"]


def decisive_step(trace: Trace, scenario: Scenario, log: tuple[LoggedError, ...]) -> int | None:
    """Return the step at which the decisive error was made; None where there is none."""
    logged = next((e for e in log if e.error == scenario.decisive), None)
    if logged is None:
        return None
    same = [step for step in trace.steps if _is(step, logged)]
    reads = {step.index: trace.observed.reads(step) for step in same}
    exact = [i for i, read in reads.items() if read and read[-1].content == logged.answers]
    return next(iter([*exact, *reads]), None)


def _is(step: Step, logged: LoggedError) -> bool:
    calls = tuple((call.name, call.arguments) for call in step.tool_calls)
    return step.content == logged.content and calls == logged.calls


def oracle(policy: TeamPolicy) -> OracleFunction:
    """Return an oracle: the reply of the same model without errors, given what the step read."""
    able = policy.without_errors()

    def correct(trace: Trace, step: int) -> Override | None:
        recorded = trace.steps[step]
        if recorded.kind != "llm":
            return None
        reply = able.reply(request_of(trace, step))
        recorded_calls = [(call.name, call.arguments) for call in recorded.tool_calls]
        right_calls = [(call.name, call.arguments) for call in reply.tool_calls]
        if recorded_calls == right_calls and recorded.content == (reply.content or ""):
            return None
        ids = [call.id for call in recorded.tool_calls]
        calls = [
            ToolRequest(id=i, name=call.name, arguments=call.arguments)
            for i, call in zip([*ids, *_FRESH_IDS], reply.tool_calls, strict=False)
        ]
        return Override(step=step, content=reply.content or "", tool_calls=calls)

    return correct


_FRESH_IDS = [f"call_corrected_{number}" for number in range(8)]


def request_of(trace: Trace, step: int) -> ChatRequest:
    """The request that a model step answered, as it went over the wire."""
    messages = [_as_sent(message) for message in trace.observed.reads(step)]
    model = trace.steps[step].model
    body = {"tools": [{"function": {"name": name}} for name in (model.tools if model else ())]}
    return ChatRequest("scripted", messages, body)


def _as_sent(message: Message) -> dict[str, Any]:
    """A recorded message in the form of the wire."""
    sent: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.name:
        sent["name"] = message.name
    if message.tool_call_id:
        sent["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        sent["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return sent
