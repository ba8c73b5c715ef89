"""What the text of a run gives away without a model: who does what, and what is new in a step.

It classifies speakers by what they do (write code, report an execution, hand work to others,
repeat the task), never by their names, so that renaming the agents of a run changes nothing. It
knows nothing of rules, ranks or blame. Everything is linear in the text of the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from agentracer.attribution.embedded.text.tokens import without_markers
from agentracer.trace import Observed, Step

__all__ = ["NOTHING_TO_RUN", "REPORT_HEAD", "Signals"]

NOTHING_TO_RUN = r"no code\b[^.\n]{0,60}\bto execute\b"
"""How an executor says that it was given nothing to run, as a pattern."""

REPORT_HEAD = 200
"""Characters at its top in which an execution report says that it is one: a worker may quote one
further down."""

_CODE = re.compile(r"^[ \t]*```", re.MULTILINE)
# How an executor speaks: an exit code, a traceback, or that it was given nothing to run.
_EXECUTION = re.compile(
    rf"\bexit ?code\W{{1,3}}-?\d|\AT?raceback \(most recent|\b{NOTHING_TO_RUN}",
    re.IGNORECASE,
)
_FAILURE = re.compile(
    r"\bexit ?code\W{1,3}-?[1-9]|^Traceback \(most recent", re.MULTILINE | re.IGNORECASE
)

_WORD = re.compile(r"[^\W\d_]+")
# A figure of at least two digits: single digits count things, lists and steps.
_NUMBER = re.compile(r"(?<![\w.,])\d[\d,]*(?:\d|\.\d+)(?!\w)")
# A name: a capitalised natural word that does not begin a sentence.
_NAME = re.compile(r"(?<=[a-z,;] )[\"'(*]*([A-Z][a-z]+)(?!\w)")


@dataclass(frozen=True)
class Signals:
    """Observable properties of one run, each computed when first asked for."""

    run: Observed

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """What each step wrote, tool calls and results included."""
        return tuple(self.run.text(step) for step in self.run.steps)

    @cached_property
    def code(self) -> tuple[bool, ...]:
        """Whether a step acts through code: it writes a block of it, or calls a tool."""
        return tuple(_calls(step) or bool(_CODE.search(step.content)) for step in self.run.steps)

    @cached_property
    def executors(self) -> frozenset[str]:
        """Agents that run the code or the tools of others and report what came out."""
        reports = {s.agent for s in self.run.steps if s.kind == "tool" or _is_report(s.content)}
        writers = {s.agent for s, code in zip(self.run.steps, self.code, strict=True) if code}
        return frozenset(reports - writers)

    @cached_property
    def users(self) -> frozenset[str]:
        """Agents that only ever state the task."""
        task = _squeezed(self.run.task)
        acting = {
            step.agent
            for step, code in zip(self.run.steps, self.code, strict=True)
            if code or task not in _squeezed(step.content)
        }
        return frozenset(set(self.run.agent_names) - acting) if task else frozenset()

    @cached_property
    def managers(self) -> frozenset[str]:
        """Agents that hand work to others; nobody, where everybody does so."""
        steps = self.run.steps
        hosts = {steps[s.parent].agent for s in steps if s.parent is not None} - self.executors
        addressing = {s.agent for s in steps if s.to not in {None, s.agent} | self.users}
        found = (hosts | addressing) - self.users
        others = set(self.run.agent_names) - self.users - self.executors - found
        return frozenset(found if others else ())

    @cached_property
    def workers(self) -> tuple[Step, ...]:
        """Steps of those who do the work, in order."""
        others = self.executors | self.users | self.managers
        return tuple(step for step in self.run.steps if step.agent not in others)

    @cached_property
    def briefing(self) -> int | None:
        """The first step, where it does no more than hand the task out."""
        task = _squeezed(self.run.task)
        repeats = (
            bool(self.run.steps) and task != "" and task in _squeezed(self.run.steps[0].content)
        )
        return 0 if repeats else None

    @cached_property
    def failures(self) -> tuple[int, ...]:
        """Steps at which something broke: an error, or the report of a failed execution."""
        return tuple(step.index for step in self.run.steps if self._failed(step))

    def _failed(self, step: Step) -> bool:
        if step.error is not None or any(call.error is not None for call in step.tool_calls):
            return True
        reporting = step.agent in self.executors
        return reporting and _FAILURE.search(step.content[:REPORT_HEAD]) is not None

    @cached_property
    def new_facts(self) -> tuple[tuple[str, ...], ...]:
        """Figures and names in each step that neither the task nor an earlier step held."""
        ignored = {word for name in self.run.agent_names for word in re.findall(r"\w+", name)}
        seen = set(_vocabulary(self.run.task))
        found = []
        for text in self.texts:
            facts = dict.fromkeys(fact for fact in _facts(text) if fact not in ignored)
            found.append(tuple(fact for fact in facts if _key(fact) not in seen))
            seen.update(_vocabulary(text))
        return tuple(found)


def _calls(step: Step) -> bool:
    # Where a step addresses somebody, one of its calls is the hand-off itself.
    return len(step.tool_calls) > (0 if step.to is None else 1)


def _is_report(text: str) -> bool:
    return _EXECUTION.search(text[:REPORT_HEAD]) is not None


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _key(word: str) -> str:
    """One spelling for `1,000` and `1000`, `Paris` and `paris`."""
    return word.replace(",", "").casefold()


def _vocabulary(text: str) -> Iterator[str]:
    for pattern in (_WORD, _NUMBER):
        for match in pattern.finditer(text):
            yield _key(match[0])


def _facts(text: str) -> Iterator[str]:
    body = without_markers(text)
    for match in _NUMBER.finditer(body):
        yield match[0]
    for match in _NAME.finditer(body):
        yield match[1]
