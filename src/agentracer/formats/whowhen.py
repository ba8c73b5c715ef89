"""Logs of the Who&When benchmark (arXiv 2505.00212, MIT), in and out.

A log is one JSON file of one failed run. The two subsets name the speaker differently:
Algorithm-Generated in `name`; Hand-Crafted in `role`, with what the message is or whom it goes to
in brackets: `Orchestrator (thought)`, `Orchestrator (-> WebSurfer)`. Steps are 0-based in both.
The logs hold outputs only, so what a step read stays unknown (`Step.reads` is None).

The labels go to `Trace.labels`
and nowhere else: not into the observed run and not into the id.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentracer.errors import FormatError
from agentracer.formats.source import Source, natural_order
from agentracer.trace import (
    AgentInfo,
    GroundTruth,
    Label,
    Observed,
    Outcome,
    Step,
    Trace,
)

__all__ = ["is_whowhen", "load", "load_directory", "to_whowhen", "trace_of"]

_RECIPIENT = re.compile(r"\(->\s*(.+?)\s*\)\s*$")
# The reply convention of GAIA-like prompts; the answer ends with its line.
_ANSWER = re.compile(
    r"^[*_# \t]*final answer[*_]*\s*:[*_ \t]*(\S.*)$", re.IGNORECASE | re.MULTILINE
)
_LABEL = frozenset({"mistake_agent", "mistake_step", "mistake_reason", "mistake_type"})
_MODELLED = _LABEL | {"question", "history", "ground_truth", "system_prompt", "is_correct"}
_REMEDY = "compare the file with a log of the Who&When repository"


def load(path: Path | str) -> Trace:
    """Read one log.

    Raises:
        FormatError: it cannot be read, or a field is missing or does not fit.
    """
    path = Path(path)
    return trace_of(Source(path).data, source=path)


def load_directory(path: Path | str) -> list[Trace]:
    """Read every `.json` file below a folder, in numeric order.

    A file that cannot be read is an error, never a skip: a benchmark over fewer runs than the
    folder holds would be another benchmark.

    Raises:
        FormatError: no such folder, no log in it, or a log that cannot be read.
    """
    path = Path(path)
    if not path.is_dir():
        raise FormatError("not a folder", source=path, remedy="give the folder that holds the logs")
    files = sorted(path.rglob("*.json"), key=natural_order)
    if not files:
        remedy = "give a folder with the .json files of a subset"
        raise FormatError("no .json file in this folder", source=path, remedy=remedy)
    return [load(path) for path in files]


def is_whowhen(data: Any) -> bool:
    """Whether parsed JSON looks like a log of Who&When."""
    return isinstance(data, dict) and "history" in data and "observed" not in data


def trace_of(data: Any, *, source: Path | None = None) -> Trace:
    """Turn parsed JSON into a trace. `metadata["subset"]` is the name of the file's folder.

    Raises:
        FormatError: as `load`.
    """
    file = _LogFile(data, source)
    steps = tuple(_step(index, entry, file) for index, entry in enumerate(file.history()))
    question = file.text("question")
    return Trace(
        id=_identity(question, steps),
        observed=Observed(
            task=question,
            framework=None,
            agents=_agents(steps, file.system_prompts()),
            steps=steps,
            outcome=Outcome(success=file.data.get("is_correct") is True, answer=_answer(steps)),
        ),
        ground_truth=_ground_truth(file),
        labels=_labels(file, steps),
        metadata=_metadata(file),
    )


def to_whowhen(trace: Trace) -> dict[str, Any]:
    """The trace as a log in this format; what the format has no field for is left out.

    A log that was read with `load` comes back with the same fields and values.
    """
    history = [_entry(trace.observed, step) for step in trace.steps]
    log: dict[str, Any] = {"question": trace.task, "history": history}
    prompts = {a.name: a.system_prompt for a in trace.agents if a.system_prompt is not None}
    if prompts:
        log["system_prompt"] = prompts
    if trace.ground_truth is not None:
        log["ground_truth"] = trace.ground_truth.answer
    if trace.labels:
        label = trace.labels[0]
        log |= {"mistake_agent": label.agent, "mistake_step": str(label.step)}
        if label.reason is not None:
            log["mistake_reason"] = label.reason
        log |= label.attributes
    extra = trace.metadata.get("fields")
    return log | extra if isinstance(extra, dict) else log | {"is_correct": trace.outcome.success}


@dataclass(frozen=True)
class _LogFile:
    """The parsed file, and how to complain about one of its fields."""

    data: dict[str, Any]
    source: Path | None

    def __post_init__(self) -> None:
        if not isinstance(self.data, dict):
            raise self.wrong(None, "a log is a JSON object", _REMEDY)

    def wrong(self, place: str | None, problem: str, remedy: str = _REMEDY) -> FormatError:
        return FormatError(problem, source=self.source, place=place, remedy=remedy)

    def text(self, field: str) -> str:
        value = self.data.get(field)
        if not isinstance(value, str):
            raise self.wrong(field, _missing(value, "text"))
        return value

    def history(self) -> list[Any]:
        value = self.data.get("history")
        if not isinstance(value, list):
            raise self.wrong("history", _missing(value, "a list of messages"))
        return value

    def system_prompts(self) -> Mapping[str, str]:
        """Prompts by agent; published copies also hold this dict as a string."""
        value = self.data.get("system_prompt", {})
        if isinstance(value, str):
            value = _dict_from_text(value)
        if not isinstance(value, dict):
            raise self.wrong("system_prompt", "not an object of prompts by agent")
        for agent, prompt in value.items():
            if not agent or not isinstance(agent, str) or not isinstance(prompt, str):
                raise self.wrong(f"system_prompt.{agent}", "not an agent with its prompt")
        return value


def _missing(value: Any, wanted: str) -> str:
    return "missing" if value is None else f"expected {wanted}, found {type(value).__name__}"


def _dict_from_text(text: str) -> Any:
    if not text.strip():
        return {}
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def _step(index: int, entry: Any, file: _LogFile) -> Step:
    place = f"history[{index}]"
    if not isinstance(entry, dict):
        raise file.wrong(place, _missing(entry, "an object with content, role and perhaps name"))
    role, name, content = entry.get("role"), entry.get("name"), entry.get("content")
    if not isinstance(content, str):
        raise file.wrong(f"{place}.content", _missing(content, "text"))
    if not isinstance(role, str):
        raise file.wrong(f"{place}.role", _missing(role, "text"))
    if name is not None and not isinstance(name, str):
        raise file.wrong(f"{place}.name", _missing(name, "text"))
    agent = name or _speaker(role)
    if not agent:
        raise file.wrong(f"{place}.{'role' if name is None else 'name'}", "no speaker is named")
    recipient = None if name else _RECIPIENT.search(role)
    return Step(
        index=index,
        agent=agent,
        kind="message",
        content=content,
        to=recipient[1] if recipient else None,
        attributes={"role": role},
    )


def _speaker(role: str) -> str:
    return role.split(" (", 1)[0].strip()


def _entry(run: Observed, step: Step) -> dict[str, Any]:
    role = step.attributes.get("role")
    text = step.content if step.kind == "message" else run.text(step)
    if isinstance(role, str) and _speaker(role) == step.agent:
        return {"content": text, "role": role}
    if not isinstance(role, str):
        role = "assistant"
    return {"content": text, "name": step.agent, "role": role}


def _agents(steps: tuple[Step, ...], prompts: Mapping[str, str]) -> tuple[AgentInfo, ...]:
    names = dict.fromkeys([*(step.agent for step in steps), *prompts])
    return tuple(AgentInfo(name=name, system_prompt=prompts.get(name)) for name in names)


def _answer(steps: tuple[Step, ...]) -> str | None:
    """The system's answer, where the last message states it in so many words."""
    stated = _ANSWER.findall(steps[-1].content) if steps else []
    return stated[-1].strip() if stated else None


def _ground_truth(file: _LogFile) -> GroundTruth | None:
    answer = file.data.get("ground_truth")
    return None if answer is None else GroundTruth(answer=answer)


def _labels(file: _LogFile, steps: tuple[Step, ...]) -> tuple[Label, ...]:
    agent, step = file.data.get("mistake_agent"), file.data.get("mistake_step")
    if agent is None and step is None:
        return ()
    unlabelled = "give both mistake_agent and mistake_step, or neither for an unlabelled log"
    if not isinstance(agent, str) or not agent.strip():
        raise file.wrong("mistake_agent", _missing(agent, "a name"), unlabelled)
    reason = file.data.get("mistake_reason")
    if reason is not None and not isinstance(reason, str):
        raise file.wrong("mistake_reason", _missing(reason, "text"))
    kind = file.data.get("mistake_type")
    attributes = {} if kind is None else {"mistake_type": kind}
    position = _position(step, len(steps), file, unlabelled)
    return (Label(agent=agent, step=position, reason=reason, attributes=attributes),)


def _position(step: Any, length: int, file: _LogFile, unlabelled: str) -> int:
    """`mistake_step` is an integer written as text."""
    if step is None:
        raise file.wrong("mistake_step", "missing", unlabelled)
    text = str(step).strip() if isinstance(step, (str, int)) and step is not True else ""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise file.wrong("mistake_step", f"expected a step number, found {step!r}", unlabelled)
    if int(text) >= length:
        problem = f"step {text} does not exist: the history has {length} steps, counted from 0"
        raise file.wrong("mistake_step", problem, "correct the label; steps are 0-based")
    return int(text)


def _metadata(file: _LogFile) -> dict[str, Any]:
    fields = {key: value for key, value in file.data.items() if key not in _MODELLED}
    if "is_correct" in file.data:
        fields["is_correct"] = file.data["is_correct"]
    place = {}
    if file.source is not None:
        place = {"subset": file.source.absolute().parent.name, "file": file.source.name}
    return {"format": "whowhen", **place, "fields": fields}


def _identity(question: str, steps: tuple[Step, ...]) -> str:
    """A name that depends on what was observed alone: neither labels nor folder change it."""
    seen = [question, *([step.agent, step.content] for step in steps)]
    digest = hashlib.blake2b(json.dumps(seen).encode(), digest_size=8).hexdigest()
    return f"whowhen-{digest}"
