"""The roles of the agents of a run, its failures, and the facts that are new in each step.

Agents are classified by what they do (write code, report an execution, delegate work, repeat the
task), never by their names, so that renaming the agents of a run changes nothing. Everything is
linear in the text of the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from agentracer.attribution.embedded.text.system_conventions import (
    BROWSER_ACTION,
    EXECUTION_REPORT,
    FAILED_EXECUTION,
    REPORT_HEAD,
)
from agentracer.attribution.embedded.text.tokens import letter_runs, without_list_markers
from agentracer.call_nesting import CallNesting, CallRef
from agentracer.trace import ErrorInfo, Observed, Step

__all__ = ["Signals"]

_CODE = re.compile(r"^[ \t]*```", re.MULTILINE)
# A figure of at least two digits: single digits count things, lists and steps.
_NUMBER = re.compile(r"\d(?<![\w.,]\d)[\d,]*(?:\d|\.\d+)(?!\w)")
# A name: a capitalised natural word that does not begin a sentence.
_NAME = re.compile(r"(?<=[a-z,;] )[\"'(*]*([A-Z][a-z]+)(?!\w)")


@dataclass(frozen=True)
class Signals:
    """Roles, failures and new facts of one run, each computed when first read."""

    run: Observed

    @cached_property
    def nesting(self) -> CallNesting:
        """Which steps ran inside tool calls, and when results became known."""
        return CallNesting(self.run)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The text of each step, with its tool calls and the results known when it ended."""
        return tuple(self.run.text(self.nesting.as_it_ended(step)) for step in self.run.steps)

    @cached_property
    def code(self) -> tuple[bool, ...]:
        """Whether each step acts: it writes a block of code, or calls a tool."""
        return tuple(_calls(step) or bool(_CODE.search(step.content)) for step in self.run.steps)

    @cached_property
    def executors(self) -> frozenset[str]:
        """Agents that run the code or the tools of others and report the result."""
        reports = {s.agent for s in self.run.steps if s.kind == "tool" or _is_report(s.content)}
        writers = {s.agent for s, code in zip(self.run.steps, self.code, strict=True) if code}
        return frozenset(reports - writers)

    @cached_property
    def users(self) -> frozenset[str]:
        """Agents that only ever state the task."""
        task = _single_spaced(self.run.task)
        acting = {
            step.agent
            for step, code in zip(self.run.steps, self.code, strict=True)
            if code or task not in _single_spaced(step.content)
        }
        return frozenset(set(self.run.agent_names) - acting) if task else frozenset()

    @cached_property
    def quoting(self) -> frozenset[int]:
        """Steps whose text is not an agent's own: reports of executions, users, shown pages."""
        reporting = self.executors | self.users | self._people
        return frozenset(
            step.index
            for step in self.run.steps
            if step.agent in reporting
            or step.kind == "tool"
            or BROWSER_ACTION.match(step.content[:REPORT_HEAD].lower())
        )

    @property
    def _people(self) -> frozenset[str]:
        """Agents that only ever say something, in a run in which models are called for others."""
        called = {step.agent for step in self.run.steps if step.kind == "llm"}
        speaking = {step.agent for step in self.run.steps if step.kind == "message"}
        return frozenset(speaking - called if called else ())

    @cached_property
    def managers(self) -> frozenset[str]:
        """Agents that delegate work; empty where every agent does so."""
        steps = self.run.steps
        hosts = {steps[s.parent].agent for s in steps if s.parent is not None} - self.executors
        addressing = {s.agent for s in steps if s.to not in {None, s.agent} | self.users}
        managers = (hosts | addressing) - self.users
        others = set(self.run.agent_names) - self.users - self.executors - managers
        return frozenset(managers if others else ())

    @cached_property
    def workers(self) -> tuple[Step, ...]:
        """Steps of the agents with none of the other roles, in order."""
        others = self.executors | self.users | self.managers
        return tuple(step for step in self.run.steps if step.agent not in others)

    @cached_property
    def briefing(self) -> int | None:
        """The first step, if it repeats the task; else None."""
        task = _single_spaced(self.run.task)
        repeats = (
            bool(self.run.steps)
            and task != ""
            and task in _single_spaced(self.run.steps[0].content)
        )
        return 0 if repeats else None

    @cached_property
    def failures(self) -> tuple[int, ...]:
        """Steps at which something broke: an error, or the report of a failed execution."""
        return tuple(step.index for step in self.run.steps if self._failed(step))

    def _failed(self, step: Step) -> bool:
        if step.error is not None or any(self._own_errors(step)):
            return True
        reporting = step.agent in self.executors
        return reporting and FAILED_EXECUTION.search(step.content[:REPORT_HEAD]) is not None

    def _own_errors(self, step: Step) -> Iterator[ErrorInfo]:
        """Errors of a step's calls, but for those in which the failure is that of inner steps."""
        for position, call in enumerate(step.tool_calls):
            if call.error is not None and not self._failed_inside(step.index, position):
                yield call.error

    def _failed_inside(self, caller: int, position: int) -> bool:
        last = self.nesting.result_follows(caller, position)
        return any(
            CallRef(caller, position) in tuple(self.nesting.calls_around(step.index))
            and (step.error is not None or any(call.error for call in step.tool_calls))
            for step in self.run.steps[caller + 1 : last + 1]
        )

    @cached_property
    def unrecovered_calls(self) -> tuple[int, ...]:
        """Steps with a failed call after which no call of the same agent and tool succeeded."""
        succeeded: dict[tuple[str, str], int] = {}
        for step in self.run.steps:
            for call in step.tool_calls:
                if call.error is None:
                    succeeded[step.agent, call.name] = step.index
        return tuple(
            step.index
            for step in self.run.steps
            if any(self._own_errors(step))
            and any(
                call.error is not None and succeeded.get((step.agent, call.name), -1) < step.index
                for call in step.tool_calls
            )
        )

    @cached_property
    def new_facts(self) -> tuple[tuple[str, ...], ...]:
        """Figures and names in each step that occur neither in the task nor in an earlier step."""
        ignored = {word for name in self.run.agent_names for word in re.findall(r"\w+", name)}
        seen = _vocabulary(self.run.task)
        new = []
        for text in self.texts:
            facts = dict.fromkeys(_facts(text))
            new.append(tuple(f for f in facts if f not in ignored and _normalized(f) not in seen))
            seen.update(_vocabulary(text))
        return tuple(new)


def _calls(step: Step) -> bool:
    # Where a step addresses another agent, one of its calls is the hand-off itself.
    return len(step.tool_calls) > (0 if step.to is None else 1)


def _is_report(text: str) -> bool:
    return EXECUTION_REPORT.search(text[:REPORT_HEAD]) is not None


def _single_spaced(text: str) -> str:
    return " ".join(text.split())


def _normalized(word: str) -> str:
    """One spelling for `1,000` and `1000`, `Paris` and `paris`."""
    return word.replace(",", "").casefold()


def _vocabulary(text: str) -> set[str]:
    words = set(map(str.casefold, letter_runs(text)))
    words.update(map(_normalized, _NUMBER.findall(text)))
    return words


def _facts(text: str) -> Iterator[str]:
    body = without_list_markers(text)
    yield from _NUMBER.findall(body)
    yield from _NAME.findall(body)
