"""The two forms of an answer: how a judge is told to answer, and what its text comes to.

`tagged` is the form of the paper's checkpoints (`<think>…</think><answer>agent|label</answer>`),
`json` the one for general models. Both name an agent and a step out of the trace's own sets, or
nobody. What cannot be constrained while it is written is held against the trace here:

- the *last* answer in a text counts: what comes before it may be quoted from the trace;
- a step is named by its label; a number is no label, for the trace may have named it;
- an agent's name may be a near miss (case, blanks, one clear resemblance);
- where agent and step contradict each other, the step stands and its speaker is blamed: it is the
  narrower statement, and an agent cannot err at a step that is another's;
- an agent without a step is no answer.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from agentracer.attribution import prompts
from agentracer.attribution.language_models.base import Form
from agentracer.attribution.rendering import ABSTAIN, TraceView

__all__ = [
    "Answer",
    "AnswerFormat",
    "Names",
    "Unreadable",
    "blame_form",
    "choice_form",
    "instruction",
    "parse_blame",
    "parse_choice",
]

AnswerFormat = Literal["tagged", "json"]

_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL | re.IGNORECASE)
_THOUGHT = re.compile(r"<think>(.*?)(?:</think>|<answer>|\Z)", re.DOTALL | re.IGNORECASE)
_FIELD = r'"{name}"\s*:\s*"((?:[^"\\]|\\.)*)"'
_LONGEST_REASONING = 1_500  # characters that a constrained JSON answer may reason for
_LONGEST_QUOTE = 200
_ALSO = 4
_OBJECTS = 64  # opening braces looked at, from the end of a text


@dataclass(frozen=True, slots=True)
class Answer:
    """What a judge said of a run.

    Attributes:
        step: index of the step; None where nobody is to blame.
        agent: who took it (the trace's own name).
        reason: the judge's reasoning.
        quote: what it quoted; not yet held against the trace.
        also: other steps that it suspects, in order.
        note: how a near miss or a contradiction was resolved.
        contradicts: whether it named another agent than the one whose step it blames.
    """

    step: int | None
    agent: str | None = None
    reason: str = ""
    quote: str = ""
    also: tuple[int, ...] = ()
    note: str = ""
    contradicts: bool = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A text that names nothing usable, and why."""

    problem: str
    text: str


class Names(Protocol):
    """What the agents and steps of a run are called in its prompt; a `TraceView` is one."""

    @property
    def step_of(self) -> Mapping[str, int]:
        """Steps by label."""

    @property
    def agent_of(self) -> Mapping[str, str]:
        """The trace's agents by the name that they have in the prompt."""

    def agent_at(self, step: int) -> str:
        """Whose step it is."""


@dataclass(slots=True)
class _Raw:
    agent: str = ""
    label: str = ""
    reason: str = ""
    quote: str = ""
    also: Sequence[Any] = field(default_factory=list)


def blame_form(
    style: AnswerFormat, view: TraceView, steps: Sequence[int], *, room: int = 2_048
) -> Form:
    """The form of an answer that names one of `steps`, or nobody, in `room` tokens."""
    steps = sorted(set(steps))
    labels = [view.labels[step] for step in steps]
    agents = list(dict.fromkeys(view.speaker(step) for step in steps))
    # Agent and step are constrained each for itself. Only pairs that agree would let the agent,
    # which is written first, decide the step; the rule for contradictions says the opposite.
    if style == "tagged":
        return _tagged([*agents, ABSTAIN], ["|"], [*labels, ABSTAIN])
    return Form(
        schema=_schema(
            room,
            agent={"enum": [*agents, ABSTAIN]},
            step={"enum": [*labels, ABSTAIN]},
            quote={"type": "string", "maxLength": min(_LONGEST_QUOTE, room // 8)},
            also={"type": "array", "items": {"enum": labels}, "maxItems": _ALSO},
        )
    )


def choice_form(style: AnswerFormat, choices: Sequence[str], *, room: int = 2_048) -> Form:
    """The form of an answer that is one of a few words."""
    if style == "tagged":
        return _tagged(choices)
    return Form(schema=_schema(room, answer={"enum": list(choices)}))


def _tagged(*slots: Sequence[str]) -> Form:
    inside = (("<answer>",), *map(tuple, slots), ("</answer>",))
    return Form(lead="<think>", until="</think>", slots=inside)


def _schema(room: int, **properties: dict[str, Any]) -> dict[str, Any]:
    # Reasoning that fills the room leaves none for the answer; a token is a character at least.
    reasoning = {"type": "string", "maxLength": min(_LONGEST_REASONING, room // 2)}
    everything = {"reasoning": reasoning, **properties}
    return {
        "type": "object",
        "properties": everything,
        "required": list(everything),
        "additionalProperties": False,
    }


def instruction(style: AnswerFormat, choices: Sequence[str] = ()) -> tuple[str, str]:
    """What a judge is told about the form of its answer, and the name of that prompt."""
    kind = "choice" if choices else "answer"
    name = f"{kind}_{style}"
    return (prompts.fill(name, choices=", ".join(choices)) if choices else prompts.fill(name)), name


def parse_blame(
    style: AnswerFormat, text: str, view: Names, steps: Sequence[int]
) -> Answer | Unreadable:
    """What a text says of who is to blame, held against the trace and the steps in question."""
    raw = _tagged_blame(text) if style == "tagged" else _json_blame(text)
    if raw is None:
        # A model may know only the other form: its checkpoint was trained that way.
        raw = _json_blame(text) if style == "tagged" else _tagged_blame(text)
    if raw is None:
        return Unreadable("it holds no answer in the form that was asked for", text)
    return _resolve(raw, text, view, frozenset(steps))


def parse_choice(style: AnswerFormat, text: str, choices: Sequence[str]) -> str | Unreadable:
    """Which of the choices a text ends on."""
    found = _ANSWER.findall(text)
    said = found[-1] if found else None
    if style == "json" or said is None:
        data = next(_objects(text, "answer"), None)
        said = str(data["answer"]) if data else said or _last_field(text, "answer")
    plain = (said or "").strip().strip("\"'.").casefold()
    if plain in choices:
        return plain
    return Unreadable(f"it is none of {', '.join(choices)}", text)


def _tagged_blame(text: str) -> _Raw | None:
    found = list(_ANSWER.finditer(text))
    if not found:
        return None
    agent, _, label = found[-1][1].rpartition("|")
    thoughts = _THOUGHT.findall(text[: found[-1].start()])
    reason = (
        thoughts[-1] if thoughts else text[: found[-1].start()].split("</think>", maxsplit=1)[0]
    )
    return _Raw(agent.strip(), label.strip(), reason.strip())


def _json_blame(text: str) -> _Raw | None:
    data = next(_objects(text, "step"), None)
    if data is None:
        label = _last_field(text, "step")
        if label is None:
            return None
        data = {"step": label, "agent": _last_field(text, "agent")}
    also = data.get("also")
    return _Raw(
        agent=str(data.get("agent") or "").strip(),
        label=str(data["step"]).strip(),
        reason=str(data.get("reasoning") or data.get("reason") or "").strip(),
        quote=str(data.get("quote") or ""),
        also=also if isinstance(also, list) else [],
    )


def _objects(text: str, key: str) -> Iterator[dict[str, Any]]:
    """JSON objects that hold `key`, the last one first."""
    decoder = json.JSONDecoder()
    starts = [match.start() for match in re.finditer(r"\{", text)][-_OBJECTS:]
    found: list[tuple[int, dict[str, Any]]] = []
    end = 0
    for start in starts:
        if start < end:
            continue  # inside the object before
        try:
            data, stop = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(data, dict) and key in data:
            found.append((start, data))
            end = stop
    yield from (data for _, data in reversed(found))


def _last_field(text: str, name: str) -> str | None:
    """The last `"name": "value"` of text that is no whole JSON object."""
    found = re.findall(_FIELD.format(name=name), text[-20_000:])
    return found[-1] if found else None


def _resolve(raw: _Raw, text: str, view: Names, steps: frozenset[int]) -> Answer | Unreadable:
    step = _step(raw.label, view)
    agent, near = _agent(raw.agent, view)
    if step is None:
        if raw.label.casefold() == ABSTAIN and raw.agent.casefold() in {"", ABSTAIN}:
            return Answer(None, reason=raw.reason)
        if raw.label.casefold() in {"", ABSTAIN}:
            return Unreadable(f"it blames {raw.agent!r}, but names no step", text)
        return Unreadable(f"{raw.label!r} is not the label of a step", text)
    if step not in steps:
        return Unreadable(f"the step {raw.label!r} is not one of those in question", text)
    speaker = view.agent_at(step)
    notes = [f"{raw.agent!r} taken for {agent!r}"] if near else []
    contradicts = bool(raw.agent) and agent != speaker
    if contradicts:
        notes.append(f"it names {raw.agent!r}, but the step is {speaker!r}'s: the step stands")
    also = dict.fromkeys(_step(str(label), view) for label in raw.also[:_ALSO])
    return Answer(
        step,
        speaker,
        raw.reason,
        raw.quote,
        tuple(other for other in also if other is not None and other != step and other in steps),
        "; ".join(notes),
        contradicts,
    )


def _step(label: str, view: Names) -> int | None:
    plain = label.strip().strip("[]\"'`. ").casefold()
    plain = re.sub(r"^(?:step|label)\s*[:#]?\s*", "", plain).strip("[] ")
    return view.step_of.get(plain)


def _agent(name: str, view: Names) -> tuple[str | None, bool]:
    """The trace's agent for a name, and whether it took guessing."""
    if name in view.agent_of:
        return view.agent_of[name], False
    plain = {_plain(alias): agent for alias, agent in view.agent_of.items()}
    if _plain(name) in plain:
        return plain[_plain(name)], True
    close = difflib.get_close_matches(_plain(name)[:200], plain, n=2, cutoff=0.8)
    return (plain[close[0]], True) if len(close) == 1 else (None, False)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.split(" (", 1)[0]).casefold()
