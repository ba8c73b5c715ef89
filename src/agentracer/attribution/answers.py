"""The two answer formats: their grammars and instructions, and how an answer is parsed.

`tagged` is the format of AgenTracer checkpoints (`<think>…</think><answer>agent|label</answer>`),
`json` the one for general models. The first names an agent and a step of the run, the second a
step, which decides the agent. `none` is an answer only where the caller allows it: a run that
failed has a step to blame. The parser checks what a grammar cannot enforce:

- the *last* answer in a text counts; earlier ones may be quoted from the trace;
- a step is named by its label; a number is not a label, because a trace can contain numbers;
- the name of an agent may differ in case and blanks, or resemble exactly one agent;
- where agent and step contradict each other, the step has priority and its agent is blamed: the
  step is the narrower statement;
- an agent without a step blames no step, which is no answer where that is not allowed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from agentracer.attribution import prompts
from agentracer.attribution.language_models.base import OutputGrammar
from agentracer.attribution.rendering import ABSTAIN, TraceView
from agentracer.json_extraction import extract_json_objects

__all__ = [
    "Answer",
    "AnswerFormat",
    "Names",
    "Unreadable",
    "blame_grammar",
    "choice_grammar",
    "instruction",
    "list_grammar",
    "list_instruction",
    "parse_blame",
    "parse_choice",
    "parse_list",
]

AnswerFormat = Literal["tagged", "json"]

_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL | re.IGNORECASE)
_REASONING = re.compile(r"<think>(.*?)(?:</think>|<answer>|\Z)", re.DOTALL | re.IGNORECASE)
_BULLET = re.compile(r"^\s*(?:[-*\u2022]|\d{1,3}[.)])\s+")
_FIELD = r'"{name}"\s*:\s*"((?:[^"\\]|\\.)*)"'
_MAX_REASONING_CHARS = 1_500  # in a constrained JSON answer
_MAX_QUOTE_CHARS = 200
_MAX_ALSO = 4
_MAX_ITEM_CHARS = 200  # of a sentence in a list
_DONE = "done"
_MAX_STARTS = 64  # opening braces tried, from the end of a text


@dataclass(frozen=True, slots=True)
class Answer:
    """The parsed answer of a judge.

    Attributes:
        step: index of the blamed step; None where the judge blames no step.
        agent: the agent of that step, by its name in the trace.
        reason: the reasoning of the judge.
        quote: what the judge quoted; not yet compared with the trace.
        also: indices of further suspects, in order.
        note: how an inexact name or a contradiction was resolved.
        contradicts: whether the judge named another agent than that of the step.
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
    """An answer that cannot be used, and why."""

    problem: str
    text: str


class Names(Protocol):
    """The names of agents and steps in a prompt; `TraceView` implements it."""

    @property
    def step_of(self) -> Mapping[str, int]:
        """Indices of steps by label."""

    @property
    def agent_of(self) -> Mapping[str, str]:
        """Names of agents in the trace by their names in the prompt."""

    def agent_at(self, step: int) -> str:
        """Return the agent of a step, by its name in the trace."""


@dataclass(slots=True)
class _RawAnswer:
    agent: str = ""
    label: str = ""
    reason: str = ""
    quote: str = ""
    also: Sequence[Any] = field(default_factory=list)


def blame_grammar(
    style: AnswerFormat,
    view: TraceView,
    steps: Sequence[int],
    *,
    room: int = 2_048,
    abstain: bool = True,
) -> OutputGrammar:
    """Make the grammar of an answer that blames a step.

    Args:
        style: the format.
        view: the run as the prompt shows it.
        steps: indices of the steps that may be named.
        room: tokens of the answer.
        abstain: whether it may blame no step.
    """
    steps = sorted(set(steps))
    labels = [view.labels[step] for step in steps]
    none = [ABSTAIN] if abstain else []
    if style == "tagged":
        # Agent and step are constrained separately. With consistent pairs only, the agent, which
        # checkpoints write first, would decide the step; but the step has priority.
        agents = dict.fromkeys(view.speaker(step) for step in steps)
        return _tagged([*agents, *none], ["|"], [*labels, *none])
    return OutputGrammar(
        json_schema=_schema(
            room,
            step={"enum": [*labels, *none]},
            quote={"type": "string", "maxLength": min(_MAX_QUOTE_CHARS, room // 8)},
            also={"type": "array", "items": {"enum": labels}, "maxItems": _MAX_ALSO},
        )
    )


def choice_grammar(
    style: AnswerFormat, choices: Sequence[str], *, room: int = 2_048
) -> OutputGrammar:
    """Make the grammar of an answer that is one of a few words."""
    if style == "tagged":
        return _tagged(choices)
    return OutputGrammar(json_schema=_schema(room, answer={"enum": list(choices)}))


def list_grammar(style: AnswerFormat, most: int) -> OutputGrammar:
    """Make the grammar of an answer that is a list of at most `most` sentences."""
    if style == "tagged":
        return _tagged([_DONE])
    item = {"type": "string", "maxLength": _MAX_ITEM_CHARS}
    items = {"type": "array", "items": item, "minItems": 1, "maxItems": most}
    return OutputGrammar(
        json_schema={
            "type": "object",
            "properties": {"items": items},
            "required": ["items"],
            "additionalProperties": False,
        }
    )


def list_instruction(style: AnswerFormat) -> tuple[str, tuple[str, ...]]:
    """Return the instruction about the form of a list, and the names of its prompt files."""
    name = f"list_{style}"
    return prompts.source(name), (name,)


def _tagged(*choices: Sequence[str]) -> OutputGrammar:
    tagged = (("<answer>",), *map(tuple, choices), ("</answer>",))
    return OutputGrammar(prefix="<think>", reasoning_end="</think>", choices=tagged)


def _schema(room: int, **properties: dict[str, Any]) -> dict[str, Any]:
    # The reasoning must leave tokens for the answer; a token is at least one character.
    reasoning = {"type": "string", "maxLength": min(_MAX_REASONING_CHARS, room // 2)}
    fields = {"reasoning": reasoning, **properties}
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def instruction(
    style: AnswerFormat, choices: Sequence[str] = (), *, abstain: bool = True
) -> tuple[str, tuple[str, ...]]:
    """Return the instruction about the answer format, and the names of its prompt files."""
    if choices:
        name = f"choice_{style}"
        return prompts.fill(name, choices=", ".join(choices)), (name,)
    names = (f"answer_{style}", *([f"or_none_{style}"] if abstain else []))
    return " ".join(map(prompts.source, names)), names


def parse_blame(
    style: AnswerFormat, text: str, view: Names, steps: Sequence[int], *, abstain: bool = True
) -> Answer | Unreadable:
    """Parse an answer that blames one of `steps`, and resolve its names against the trace.

    Args:
        style: the format that was asked for.
        text: what the model wrote.
        view: the names in its prompt.
        steps: indices of the steps that may be named.
        abstain: whether it may blame no step.
    """
    raw = _tagged_blame(text) if style == "tagged" else _json_blame(text)
    if raw is None:
        # A checkpoint may have been trained on the other format only.
        raw = _json_blame(text) if style == "tagged" else _tagged_blame(text)
    if raw is None:
        return Unreadable("it holds no answer in the requested format", text)
    return _resolve(raw, text, view, frozenset(steps), abstain=abstain)


def parse_choice(style: AnswerFormat, text: str, choices: Sequence[str]) -> str | Unreadable:
    """Parse an answer that is one of the choices."""
    tagged = _ANSWER.findall(text)
    answer = tagged[-1] if tagged else None
    if style == "json" or answer is None:
        data = next(extract_json_objects(text, key="answer", max_starts=_MAX_STARTS), None)
        answer = str(data["answer"]) if data else answer or _last_field(text, "answer")
    plain = (answer or "").strip().strip("\"'.").casefold()
    if plain in choices:
        return plain
    return Unreadable(f"it is none of {', '.join(choices)}", text)


def parse_list(style: AnswerFormat, text: str, most: int) -> tuple[str, ...] | Unreadable:
    """Parse an answer that is a list of sentences; at most `most` of them are kept."""
    data = next(extract_json_objects(text, key="items", max_starts=_MAX_STARTS), None)
    if data is not None and isinstance(data["items"], list):
        lines = [str(item) for item in data["items"]]
    elif style == "json":
        return Unreadable("it holds no list in the requested format", text)
    else:
        thoughts = _REASONING.findall(text)
        lines = (thoughts[-1] if thoughts else text.split("<answer>", 1)[0]).splitlines()
    plain = (" ".join(_BULLET.sub("", line).split())[:_MAX_ITEM_CHARS] for line in lines)
    items = tuple(item for item in plain if item)[:most]
    return items or Unreadable("its list is empty", text)


def _tagged_blame(text: str) -> _RawAnswer | None:
    matches = list(_ANSWER.finditer(text))
    if not matches:
        return None
    agent, _, label = matches[-1][1].rpartition("|")
    before = text[: matches[-1].start()]
    thoughts = _REASONING.findall(before)
    reason = thoughts[-1] if thoughts else before.split("</think>", maxsplit=1)[0]
    return _RawAnswer(agent.strip(), label.strip(), reason.strip())


def _json_blame(text: str) -> _RawAnswer | None:
    data = next(extract_json_objects(text, key="step", max_starts=_MAX_STARTS), None)
    if data is None:
        label = _last_field(text, "step")
        if label is None:
            return None
        data = {"step": label, "agent": _last_field(text, "agent")}
    also = data.get("also")
    return _RawAnswer(
        agent=str(data.get("agent") or "").strip(),
        label=str(data["step"]).strip(),
        reason=str(data.get("reasoning") or data.get("reason") or "").strip(),
        quote=str(data.get("quote") or ""),
        also=also if isinstance(also, list) else [],
    )


def _last_field(text: str, name: str) -> str | None:
    """Return the last `"name": "value"` of text that is not a complete JSON object."""
    values = re.findall(_FIELD.format(name=name), text[-20_000:])
    return values[-1] if values else None


def _resolve(
    raw: _RawAnswer, text: str, view: Names, steps: frozenset[int], *, abstain: bool
) -> Answer | Unreadable:
    step = _step(raw.label, view)
    agent, inexact = _agent(raw.agent, view)
    if step is None:
        return _without_step(raw, text, abstain=abstain)
    if step not in steps:
        return Unreadable(f"the step {raw.label!r} is not one of those in question", text)
    speaker = view.agent_at(step)
    notes = [f"the name {raw.agent!r} was read as {agent!r}"] if inexact else []
    contradicts = bool(raw.agent) and agent != speaker
    if contradicts:
        notes.append(
            f"the judge names {raw.agent!r}, but the step is of {speaker!r}: the step has priority"
        )
    also = dict.fromkeys(_step(str(label), view) for label in raw.also[:_MAX_ALSO])
    return Answer(
        step,
        speaker,
        raw.reason,
        raw.quote,
        tuple(other for other in also if other is not None and other != step and other in steps),
        "; ".join(notes),
        contradicts,
    )


def _without_step(raw: _RawAnswer, text: str, *, abstain: bool) -> Answer | Unreadable:
    if raw.label.casefold() not in {"", ABSTAIN}:
        return Unreadable(f"{raw.label!r} is not the label of a step", text)
    if not abstain:
        return Unreadable("it names no step, though the run failed", text)
    if raw.agent.casefold() in {"", ABSTAIN} and raw.label:
        return Answer(None, reason=raw.reason)
    note = f"the judge names {raw.agent!r} but no step: read as blaming no step"
    return Answer(None, reason=raw.reason, note=note, contradicts=True)


def _step(label: str, view: Names) -> int | None:
    plain = label.strip().strip("[]\"'`. ").casefold()
    plain = re.sub(r"^(?:step|label)\s*[:#]?\s*", "", plain).strip("[] ")
    return view.step_of.get(plain)


def _agent(name: str, view: Names) -> tuple[str | None, bool]:
    """Return the agent of the trace for a name, and whether the name was inexact."""
    if name in view.agent_of:
        return view.agent_of[name], False
    plain = {_plain(alias): agent for alias, agent in view.agent_of.items()}
    if _plain(name) in plain:
        return plain[_plain(name)], True
    close = difflib.get_close_matches(_plain(name)[:200], plain, n=2, cutoff=0.8)
    return (plain[close[0]], True) if len(close) == 1 else (None, False)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.split(" (", 1)[0]).casefold()
