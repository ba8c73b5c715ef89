"""Parse the prompts of CAMEL's Workforce, and write the JSON that it expects back.

In a Workforce no agent sees the whole conversation. A task agent splits the task and judges every
result; a coordinator says who does what, and which results are handed over; workers see one subtask
and those results. Its prompts say what is wanted, so this knows them by their text. It imports
nothing of CAMEL.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentracer.lab.testbed.server import ChatRequest, text_of

__all__ = [
    "Subtask",
    "WorkforcePrompt",
    "as_answer",
    "assignments",
    "judgement",
    "parse_prompt",
    "subtasks",
]

REPORT = "Report: give the answer that all results add up to"
PLAN = "Plan: split the task into steps"
WORK = "Work: do all steps of the plan, one after the other"
_RULE = "=" * 30
_DEPENDENCY = re.compile(r"^id: (\S+), content: (.*?)\. result: (.*)", re.DOTALL)
_DO = re.compile(r"(?:Do|Redo) step ([A-Z])(?: as)?: (.+?)(?: -- .*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Subtask:
    """A subtask that the coordinator has to assign."""

    id: str
    content: str

    @property
    def key(self) -> str:
        """The letter of its step; empty for the report."""
        match = _DO.search(self.content)
        return match[1] if match else ""


@dataclass(frozen=True, slots=True)
class WorkforcePrompt:
    """What a prompt of a Workforce asks for.

    Attributes:
        kind: to split the task, to assign subtasks, to judge a result, or to do a subtask.
        task: the whole task, where the prompt has it.
        content: the subtask to do or to judge.
        result: the result to judge.
        subtasks: what is to be assigned.
        workers: ids of the workers, by description.
        conversation: for a worker: its context, as messages.
    """

    kind: Literal["split", "assign", "judge", "work"]
    task: str = ""
    content: str = ""
    result: str = ""
    subtasks: tuple[Subtask, ...] = ()
    workers: Mapping[str, str] | None = None
    conversation: tuple[Mapping[str, Any], ...] = ()

    @property
    def step(self) -> tuple[str, str] | None:
        """Letter and spec of the step that the subtask is about."""
        match = _DO.search(self.content)
        return (match[1], match[2].strip()) if match else None


def parse_prompt(request: ChatRequest) -> WorkforcePrompt | None:
    """What a request of a Workforce asks for; None if it is not one."""
    position = next(
        (i for i, m in reversed(list(enumerate(request.messages))) if m["role"] == "user"), None
    )
    if position is None:
        return None
    text = text_of(request.messages[position])
    if "You need to process one given task and return only a JSON result" in text:
        context = _context_messages(text)
        content = _block(text, "Here is the content of the task that you need to do:")
        return WorkforcePrompt(
            "work",
            task=_block(text, "Here is the content of the parent task for you to refer to:"),
            content=content,
            conversation=(*context, *request.messages[position + 1 :]),
        )
    if "You are analyzing a task to evaluate its quality" in text:
        content = text.partition("- Task Content: ")[2].partition("\n- Task Result: ")[0]
        result = text.partition("\n- Task Result: ")[2].partition("\n- Failure Count: ")[0]
        return WorkforcePrompt("judge", content=content, result=result)
    if "You need to assign multiple tasks to worker nodes" in text:
        tasks = re.findall(r"^Task ID: (\S+)\nContent: (.*)$", text, re.MULTILINE)
        workers = {d: i for i, d in re.findall(r"<([^<>\s]+)>:<([^<>]+?)>", text)}
        return WorkforcePrompt(
            "assign", subtasks=tuple(Subtask(i, c) for i, c in tasks), workers=workers
        )
    if "You need to either decompose a complex task" in text:
        return WorkforcePrompt("split", task=_block(text, "The content of the task is:"))
    return None


def subtasks(points: Sequence[str]) -> str:
    """Points of a plan as the subtasks that a Workforce reads; the last one is the report."""
    listed = "\n".join(f"<task>{point}</task>" for point in [*points, REPORT])
    return f"<tasks>\n{listed}\n</tasks>"


def assignments(chosen: Sequence[tuple[Subtask, str, Sequence[str]]]) -> str:
    """Who does what, and after what: (subtask, worker id, ids of the subtasks before it)."""
    entries = [
        {"task_id": task.id, "assignee_id": worker, "dependencies": list(before)}
        for task, worker, before in chosen
    ]
    return _in_block({"assignments": entries})


def judgement(reasoning: str, redo: tuple[str, str] | None) -> str:
    """A judgement of a result; `redo` is the step that has to be done again, and as what."""
    content = f"Redo step {redo[0]} as: {redo[1]}" if redo else None
    return _in_block(
        {
            "reasoning": reasoning,
            "issues": [f"step {redo[0]} is not right"] if redo else [],
            "recovery_strategy": "replan" if redo else None,
            "modified_task_content": content,
            "quality_score": 30 if redo else 95,
        }
    )


def as_answer(text: str) -> str:
    """The answer of a worker."""
    return _in_block({"content": text, "failed": False})


def _in_block(value: Mapping[str, Any]) -> str:
    # In a block, as the prompt asks: without one, CAMEL may take a `{}` in a program for it.
    return f"```json\n{json.dumps(value)}\n```"


def _block(text: str, heading: str) -> str:
    """What stands between the two rules after a heading."""
    after = text.partition(heading)[2]
    parts = after.split(_RULE)
    return parts[1].strip() if len(parts) > 2 else ""


def _context_messages(text: str) -> list[dict[str, Any]]:
    """The context of a worker, as a conversation: the steps before its own, and their results."""
    results = _block(text, "Here are results of some prerequisite tasks that you can refer to:")
    lines: list[str] = []
    for entry in re.split(r"\n(?=id: \S+, content: )", results):
        match = _DEPENDENCY.match(entry)
        if match is None:
            continue
        step = _DO.search(match[2])
        if step is not None:
            lines.append(f"Step {step[1]}: {step[2].strip()}")
        lines.append(match[3].removesuffix("."))
    content = _block(text, "Here is the content of the task that you need to do:")
    step = _DO.search(content)
    if step is not None:
        redo = f"Redo step {step[1]} as: {step[2]}\n" if content.startswith("Redo") else ""
        lines.append(f"{redo}Do step {step[1]}: {step[2]}")
    return [{"role": "user", "content": part} for part in lines]
