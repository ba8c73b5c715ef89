"""Play planner, coder and tester of the coding team as a scripted model, with planned errors.

The seed and the task decide which kind of error a run has; the policy logs the replies that went
wrong. What it says is a function of the request and the seed only: role, task,
plan, code and test results are read from the conversation that it is sent, so a corrected reply
upstream changes what happens downstream, as it would with a real model. Does not know the task
that the caller had in mind, what the hidden tests say, or that anything is captured.

The kinds, and the decisive reply of each (the earliest one whose correction saves the run):

    kind            what happens                                                run      decisive
    none            nothing                                                     passes   -
    slip            coder errs, tool and tester see it, coder repairs it        passes   -
    plan            planner loses or distorts a requirement, coder follows      fails    planner
    plan_and_slip   as plan, and a slip that is repaired on the way             fails    planner
    bug             coder errs in a way that the examples do not show           fails    coder
    phantom         all tests pass, tester demands a wrong change, coder obeys  fails    tester
    false_pass      coder slips, the tool says so, tester reports success       fails    coder

In `false_pass` the tester errs too and both are in the log; but the slip came first, and correcting
it alone would have saved the run, so it is decisive. All of this holds for a team that gives the
coder at least two rounds.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

from agentracer.lab.testbed.coding_tasks import CodingTask, FlawedPlan, code_in, task_named_in
from agentracer.lab.testbed.server import ChatReply, ChatRequest, ScriptedCall, text_of

__all__ = ["ERROR_KINDS", "CodingPolicy", "ErrorKind", "Mistake", "Role"]

Role = Literal["planner", "coder", "tester"]
ErrorKind = Literal["none", "slip", "plan", "plan_and_slip", "bug", "phantom", "false_pass"]

ERROR_KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)
"""All kinds of errors."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One reply that went wrong.

    Attributes:
        agent: Who gave it.
        reply_text: The exact content of the assistant message.
        mistake: The name of the mistake.
        repaired: Whether a later reply undid it.
    """

    agent: Role
    reply_text: str
    mistake: str
    repaired: bool = False


class CodingPolicy:
    """A `ScriptedModel` that plays all roles of the coding team.

    Use one policy for each run whose truth is asked for: the log does not tell runs apart, and a
    replay of the run through the same policy may add to it.

    Args:
        seed: Where all chance comes from.
        error_kind: What goes wrong; None lets the seed and the task decide.
        correct: Replies that are forced to be right, as (role, k), where k counts the replies of
            that role in the conversation from 0 (for the tester: its reports).
    """

    def __init__(
        self,
        seed: int,
        *,
        error_kind: ErrorKind | None = None,
        correct: Collection[tuple[Role, int]] = (),
    ) -> None:
        self.seed = seed
        self.error_kind = error_kind
        self.correct = frozenset(correct)
        self._lock = threading.Lock()
        self._mistakes: list[Mistake] = []

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """The log: all replies so far that went wrong, in their order."""
        with self._lock:
            return tuple(self._mistakes)

    def truth(self) -> Mistake | None:
        """The decisive mistake of the run, or None when no mistake was left unrepaired."""
        return next((mistake for mistake in self.mistakes if not mistake.repaired), None)

    def error_kind_of(self, task: CodingTask) -> ErrorKind:
        """What goes wrong with this task under this policy."""
        if self.error_kind is not None:
            return self.error_kind
        return _pick(ERROR_KINDS, self.seed, task.function, "mishap")

    def reply(self, request: ChatRequest) -> ChatReply:
        """Answer as the role that the system prompt names."""
        conversation = _CodingConversation.read(request.messages)
        if conversation.task is None:
            return ChatReply("I cannot find a task that I know in this conversation.")
        if "You are the planner" in request.system:
            return self._plan(conversation, conversation.task)
        if "You are the coder" in request.system:
            return self._code(conversation, conversation.task)
        if "You are the tester" in request.system:
            return self._test(
                conversation, conversation.task, can_run="run_tests" in request.tool_names
            )
        return ChatReply("I cannot find out from my instructions which part I play.")

    # ------------------------------------------------------------ the roles

    def _plan(self, conversation: _CodingConversation, task: CodingTask) -> ChatReply:
        k = len(conversation.plans)
        points = [requirement.plan for requirement in task.requirements]
        flaw: FlawedPlan | None = None
        if self.error_kind_of(task) in ("plan", "plan_and_slip") and self._errs("planner", k):
            flaw = _pick(task.flawed_plans, self.seed, task.function, "planner", k)
            points[flaw.requirement : flaw.requirement + 1] = [flaw.instead] * bool(flaw.instead)
        opening = _pick(_PLAN_OPENINGS, self.seed, task.function, "planner", k, "opening")
        closing = _pick(_PLAN_CLOSINGS, self.seed, task.function, "planner", k, "closing")
        listed = "\n".join(f"{number}. {point}" for number, point in enumerate(points, start=1))
        text = f"{opening.format(task.function)}\n\n{listed}\n\n{closing.format(task.signature)}"
        if flaw is not None:
            self._log(Mistake("planner", text, flaw.mistake))
        return ChatReply(text)

    def _code(self, conversation: _CodingConversation, task: CodingTask) -> ChatReply:
        k = len(conversation.programs)
        error_kind = self.error_kind_of(task)
        edits = next((f.edits for f in task.flawed_plans if conversation.plan_has(f)), ())
        wrong = None
        if k == 0 and self._errs("coder", 0):
            if error_kind == "bug":
                wrong = _pick(task.bugs, self.seed, task.function, "coder", k)
            elif error_kind in ("slip", "plan_and_slip", "false_pass"):
                wrong = task.slip
        demanded = next(
            (f.edits for f in task.flawed_plans if conversation.tester_demands(f)), None
        )
        if demanded is not None:
            edits = demanded
        if wrong is not None:
            edits = (*edits, *wrong.edits)
        code = task.apply(edits)
        opening = self._coder_opening(conversation, task, k)
        closing = _pick(_CODE_CLOSINGS, self.seed, task.function, "coder", k, "closing")
        text = f"{opening}\n\n```python\n{code}```\n\n{closing}"
        if wrong is not None:
            self._log(Mistake("coder", text, wrong.mistake))
        elif conversation.programs:
            self._mark_repaired(conversation.programs[-1])
        return ChatReply(text)

    def _coder_opening(self, conversation: _CodingConversation, task: CodingTask, k: int) -> str:
        if k == 0:
            opening = _pick(_CODE_OPENINGS, self.seed, task.function, "coder", k, "opening")
            return f"{opening} {task.approach}"
        if any(conversation.tester_demands(flaw) for flaw in task.flawed_plans):
            return "Thanks, I had read that point differently. I changed the code as you ask:"
        edits = next((f.edits for f in task.flawed_plans if conversation.plan_has(f)), ())
        if code_in(conversation.programs[-1]) == task.apply((*edits, *task.slip.edits)):
            return (
                f"You are right, and the report shows what it is: {task.slip.mistake}. "
                "Here is the corrected program:"
            )
        return "I went through the plan once more and wrote the program again from its points:"

    def _test(
        self, conversation: _CodingConversation, task: CodingTask, *, can_run: bool
    ) -> ChatReply:
        k = len(conversation.reports)
        code = code_in(conversation.programs[-1]) if conversation.programs else None
        if code is None:
            return ChatReply("There is no program to test yet.\n\nVERDICT: FAIL")
        if conversation.tool_result is None and can_run:
            opening = _pick(_TEST_OPENINGS, self.seed, task.function, "tester", k, "opening")
            return ChatReply(opening, (ScriptedCall("run_tests", {"code": code}),))
        result = conversation.tool_result or "The tests could not be run."
        passed = result.splitlines()[-1].startswith("All ") if result else False
        error_kind = self.error_kind_of(task)
        if passed and error_kind == "phantom" and k == 0 and self._errs("tester", k):
            flaw = _pick(
                [f for f in task.flawed_plans if f.instead], self.seed, task.function, "tester", k
            )
            text = _PHANTOM.format(result.splitlines()[-1], flaw.requirement + 1, flaw.instead)
            self._log(Mistake("tester", text, "tester demands a change that the task forbids"))
        elif passed:
            closing = _pick(_PASS_REMARKS, self.seed, task.function, "tester", k, "remark")
            text = f"I ran the examples. {result.splitlines()[-1]} {closing}\n\nVERDICT: PASS"
        elif error_kind == "false_pass" and self._errs("tester", k):
            text = _UNTRUE_REPORT.format(task.function)
            self._log(Mistake("tester", text, "tester reports success although the tool did not"))
        else:
            text = f"{_FAIL_OPENING}\n\n{_failures(result)}\n\n{_FAIL_CLOSING}\n\nVERDICT: FAIL"
        return ChatReply(text)

    # ------------------------------------------------------------ the log

    def _errs(self, role: Role, k: int) -> bool:
        return (role, k) not in self.correct

    def _log(self, mistake: Mistake) -> None:
        with self._lock:
            # An answered request may be sent again: a client retries, a replay repeats.
            if all(logged.reply_text != mistake.reply_text for logged in self._mistakes):
                self._mistakes.append(mistake)

    def _mark_repaired(self, reply_text: str) -> None:
        with self._lock:
            self._mistakes = [
                replace(mistake, repaired=True) if mistake.reply_text == reply_text else mistake
                for mistake in self._mistakes
            ]


@dataclass(frozen=True, slots=True)
class _CodingConversation:
    """A conversation as the roles see it.

    Attributes:
        task: The task that the user gave, if it is a known one.
        plans: The messages of the planner.
        programs: The messages of the coder.
        reports: The reports of the tester, without its tool calls.
        tool_result: What the tool said since the coder last spoke.
    """

    task: CodingTask | None
    plans: tuple[str, ...]
    programs: tuple[str, ...]
    reports: tuple[str, ...]
    tool_result: str | None

    @classmethod
    def read(cls, messages: Sequence[Mapping[str, Any]]) -> _CodingConversation:
        replies: dict[str, list[str]] = {"planner": [], "coder": [], "tester": []}
        task: CodingTask | None = None
        tool_result: str | None = None
        for message in messages:
            role, name, text = message["role"], message.get("name"), text_of(message)
            if role == "user" and task is None:
                task = task_named_in(text)
            elif role == "tool":
                tool_result = text
            elif role == "assistant" and name in replies and not message.get("tool_calls"):
                replies[name].append(text)
                tool_result = None if name == "coder" else tool_result
        return cls(
            task,
            tuple(replies["planner"]),
            tuple(replies["coder"]),
            tuple(replies["tester"]),
            tool_result,
        )

    def plan_has(self, flaw: FlawedPlan) -> bool:
        """Whether the latest plan has this flaw; without a plan the coder works from the task."""
        return bool(self.plans) and flaw.is_followed_by(self.plans[-1])

    def tester_demands(self, flaw: FlawedPlan) -> bool:
        """Whether some report asked for this distortion; once obeyed, it stays in the code."""
        return bool(flaw.instead) and any(flaw.instead in report for report in self.reports)


def _pick(options: Sequence[T], *key: object) -> T:
    """Choose by a hash of the key, so that the same question always gets the same answer."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return options[int.from_bytes(digest[:8]) % len(options)]


def _failures(result: str) -> str:
    """The lines of a test report that are not about passed tests."""
    return "\n".join(line for line in result.splitlines() if not line.startswith("PASSED"))


_PLAN_OPENINGS = (
    "Here is how I would go about `{}`:",
    "I read the task for `{}` twice. These are the points that the code has to cover:",
    "Plan for `{}`, one point for each thing to get right:",
)
_PLAN_CLOSINGS = (
    "Keep the signature `{}` as it is. Nothing needs to be printed.",
    "One function with the signature `{}` is enough; helpers are fine where they make it clearer.",
    "The examples in the task are a first check of `{}`, so please compare with them.",
)
_CODE_OPENINGS = (
    "I followed the plan point by point.",
    "Thanks, the plan is clear.",
    "This is a direct translation of the plan.",
)
_CODE_CLOSINGS = (
    "I compared it with the points of the plan, and all of them are covered.",
    "It needs nothing beyond the standard library, and it prints nothing.",
    "Please run the examples; I expect all of them to pass.",
)
_TEST_OPENINGS = (
    "Let me run the examples of the task on this program.",
    "I run the examples first and read the code afterwards.",
    "Running the tests now.",
)
_PASS_REMARKS = (
    "I read the code as well and have no objection.",
    "The code is short and does what the plan says.",
    "Nothing to change from my side.",
)
_FAIL_OPENING = "I ran the examples with `run_tests`, and not all of them pass:"
_FAIL_CLOSING = "Please find the cause and send the whole program again."
_UNTRUE_REPORT = (
    "I ran the examples with `run_tests`. The program loads, and `{}` gives the values that the "
    "task lists, so I consider it done.\n\nVERDICT: PASS"
)
_PHANTOM = (
    "I ran the examples. {} Reading the code, however, I find that it does not do justice to "
    "requirement {}. {} The examples do not happen to show this. Please change the code so that "
    "it does this.\n\nVERDICT: FAIL"
)
