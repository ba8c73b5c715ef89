"""A language model as an oracle, in the role of the analyzer of arXiv 2509.03312, section 3.2.

It is given the trace, the feedback and the ground truth, as the analyzer is, and one step to
correct. Traces are untrusted: their text goes into the prompt as JSON data, every line of it inside
a JSON string, and what comes back is held against the trace before it is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any, Final

from agentracer.call_nesting import CallNesting
from agentracer.errors import MissingExtra
from agentracer.json_extraction import extract_json_objects
from agentracer.replay.override import Override
from agentracer.replay.system import Oracle
from agentracer.trace import Step, ToolRequest, Trace
from agentracer.usage import Usage

__all__ = ["ChatFunction", "ChatModel", "LLMOracle", "chat"]

ChatFunction = Callable[[list[dict[str, str]]], str]
"""Given chat messages, returns the text of the answer."""

_FIELDS: Final = frozenset(
    {"error", "reason", "content", "tool_calls", "call", "arguments", "result"}
)
_LONGEST_STEP: Final = 6_000
_LONGEST_LATER: Final = 300


class UnusableAnswer(ValueError):
    """The model's answer is not in the form that was asked for, or does not fit the trace."""


class LLMOracle(Oracle):
    """Asks a language model for the correction of a step.

    Args:
        ask: chat messages in, the answer's text out: `chat(...)` for an OpenAI-compatible server,
            or a function of your own for any other model.
        ground_truth: show it the right answer, where the trace has one (w/ G).
        retries: how often it may try again after an answer that cannot be used.
        limit: characters of the trace that are shown; earlier steps are shortened first.

    Attributes:
        reasons: the model's reason for each step.
    """

    def __init__(
        self, ask: ChatFunction, *, ground_truth: bool = True, retries: int = 1, limit: int = 60_000
    ) -> None:
        self._ask, self._truth = ask, ground_truth
        self._retries, self._limit = retries, limit
        self._system = files(__package__).joinpath("analyzer.txt").read_text(encoding="utf-8")
        self.reasons: dict[int, str] = {}

    @property
    def usage(self) -> Usage:
        """See `Oracle`; tokens are those that `ask` counts in an attribute `tokens`."""
        return Usage(unsplit_tokens=int(getattr(self._ask, "tokens", 0)))

    def __call__(self, trace: Trace, step: int, /) -> Override | None:
        """See `Oracle`.

        Raises:
            UnusableAnswer: no answer could be used; the search goes on without this step.
        """
        messages = [
            {"role": "system", "content": self._system},
            {"role": "user", "content": self._question(trace, step)},
        ]
        for left in range(self._retries, -1, -1):
            answer = self._ask(messages)
            try:
                return self._read(trace, step, answer)
            except UnusableAnswer as error:
                if not left:
                    raise
                retry = f"That cannot be used: {error}. Answer again, with the JSON object only."
                messages += [
                    {"role": "assistant", "content": answer},
                    {"role": "user", "content": retry},
                ]
        raise AssertionError("unreachable")

    # -- the question

    def _question(self, trace: Trace, step: int) -> str:
        taken = trace.steps[step]
        data: dict[str, Any] = {"task": trace.task, "outcome": _outcome(trace)}
        if trace.ground_truth is not None:
            data["feedback"] = trace.ground_truth.feedback
            if self._truth:
                data["right answer"] = trace.ground_truth.answer
        data["steps before"] = self._before(trace, step)
        data["steps after, in outline"] = [
            {
                "step": s.index,
                "agent": s.agent,
                "text": _cut(trace.observed.text(s), _LONGEST_LATER),
            }
            for s in trace.steps[step + 1 :]
        ]
        data["read by the step in question"] = [
            {"role": m.role, "name": m.name, "text": _cut(m.content, _LONGEST_STEP)}
            for m in trace.observed.reads(step)[-8:]
        ]
        data["tools of its agent"] = sorted(_tools(trace, taken))
        data["the step in question"] = _step_facts(taken, _LONGEST_STEP * 2)
        # ensure_ascii: no character of a trace can end a line or look like one of ours.
        return json.dumps(data, ensure_ascii=True, indent=1)

    def _before(self, trace: Trace, step: int) -> list[dict[str, Any]]:
        """The steps before, the older ones shortened to what the limit leaves them."""
        share = max(200, min(_LONGEST_STEP, self._limit // max(1, step)))
        nesting = CallNesting(trace.observed)
        known = (nesting.as_it_ended(s, before=step) for s in trace.steps[:step])
        return [_step_facts(s, share) for s in known]

    # -- the answer

    def _read(self, trace: Trace, step: int, answer: str) -> Override | None:
        data = _last_object(answer)
        unknown = sorted(set(data) - _FIELDS)
        if unknown:
            raise UnusableAnswer(f"the field {unknown[0]!r} is not one of those described")
        if not isinstance(data.get("error"), bool):
            raise UnusableAnswer("the field 'error' has to be true or false")
        self.reasons[step] = str(data.get("reason") or "")
        if not data["error"]:
            return None
        try:
            override = _override(trace, step, data)
            override.check(trace)
        except ValueError as error:
            raise UnusableAnswer(str(error)) from error
        return override


class ChatModel:
    """Asks an OpenAI-compatible server. Nothing is sent before the first call.

    Args:
        model: its name there.
        base_url: the server, `/v1` included; that of the `openai` client if None.
        api_key: the key; `OPENAI_API_KEY` if None, and any text where a server was named.
        **parameters: of the completion, such as `temperature` (0 unless given).

    Attributes:
        tokens: tokens that were read and written so far.

    Raises:
        MissingExtra: the extra [openai] is not installed.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        **parameters: Any,
    ) -> None:
        try:
            from openai import OpenAI
        except ModuleNotFoundError as error:
            raise MissingExtra("openai", needed_for="asking a language model") from error
        key = api_key or ("none" if base_url else None)
        self._client = OpenAI(base_url=base_url, api_key=key)
        self._model, self._parameters = model, {"temperature": 0, **parameters}
        self.tokens = 0

    def __call__(self, messages: list[dict[str, str]]) -> str:
        """Return the text of the answer."""
        create: Any = self._client.chat.completions.create
        completion = create(model=self._model, messages=messages, **self._parameters)
        if completion.usage is not None:
            self.tokens += completion.usage.total_tokens
        return completion.choices[0].message.content or ""


def chat(
    model: str, *, base_url: str | None = None, api_key: str | None = None, **parameters: Any
) -> ChatModel:
    """Return a `ChatModel`; reads well where it is used: `LLMOracle(chat("qwen3"))`."""
    return ChatModel(model, base_url=base_url, api_key=api_key, **parameters)


# -- pieces


def _override(trace: Trace, step: int, data: Mapping[str, Any]) -> Override:
    fields: dict[str, Any] = {"step": step}
    if data.get("content") is not None:
        if not isinstance(data["content"], str):
            raise UnusableAnswer("the field 'content' has to be text")
        fields["content"] = data["content"]
    if data.get("tool_calls") is not None:
        fields["tool_calls"] = _requests(trace, step, data["tool_calls"])
        fields.setdefault("content", "")
    for name in ("arguments", "result"):
        if name in data:
            fields[name] = data[name]
    if not isinstance(data.get("call", 0), int):
        raise UnusableAnswer("the field 'call' has to be a number")
    fields["call"] = data.get("call") or 0
    return Override(**fields)


def _requests(trace: Trace, step: int, asked: Any) -> tuple[ToolRequest, ...]:
    tools = _tools(trace, trace.steps[step])
    if not isinstance(asked, list) or not all(isinstance(call, dict) for call in asked):
        raise UnusableAnswer("the field 'tool_calls' has to be a list of objects")
    requests = []
    for position, call in enumerate(asked):
        name = call.get("name")
        if name not in tools:
            raise UnusableAnswer(f"the agent has no tool {name!r}, only {sorted(tools)}")
        identity = f"corrected-{step}-{position}"
        requests.append(ToolRequest(id=identity, name=name, arguments=call.get("arguments")))
    return tuple(requests)


def _tools(trace: Trace, step: Step) -> set[str]:
    offered = set(step.model.tools if step.model is not None else ())
    return offered | {c.name for s in trace.steps if s.agent == step.agent for c in s.tool_calls}


def _outcome(trace: Trace) -> dict[str, Any]:
    facts = trace.outcome.model_dump(mode="json", exclude_none=True)
    return {key: facts[key] for key in ("ending", "answer", "error") if key in facts}


def _step_facts(step: Step, limit: int) -> dict[str, Any]:
    calls = [
        {
            "name": call.name,
            "arguments": _cut(json.dumps(call.arguments), limit),
            "result": _cut(json.dumps(call.result), limit),
            "error": call.error.message if call.error is not None else None,
        }
        for call in step.tool_calls
    ]
    return {
        "step": step.index,
        "agent": step.agent,
        "text": _cut(step.content, limit),
        "tool_calls": calls,
    }


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]} [... {len(text) - limit} characters ...] {text[-limit // 2 :]}"


def _last_object(answer: str) -> dict[str, Any]:
    """The last JSON object of a text; a model may think aloud before it."""
    data = next(extract_json_objects(answer), None)
    if data is None:
        raise UnusableAnswer("it holds no JSON object")
    return data
