"""Build one reply of a scripted agent from its duty and the errors that it is to make."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from agentracer.lab.testbed.parsed_conversation import Order, ParsedConversation
from agentracer.lab.testbed.phrases import PHRASES
from agentracer.lab.testbed.problems import Action, Domain, InjectedError, Problem, ToolResult, pick
from agentracer.lab.testbed.server import ChatReply, ChatRequest, ScriptedCall

__all__ = ["PolicySettings", "ReplyBuilder", "order_text", "skips_tools"]


class PolicySettings(Protocol):
    """The settings of a policy that a reply depends on."""

    @property
    def domain(self) -> Domain:
        """The kind of problems, with its tools."""

    @property
    def problem(self) -> Problem:
        """The problem that the team works on."""

    @property
    def seed(self) -> int:
        """Decides the wording and small habits."""

    @property
    def errors(self) -> tuple[InjectedError, ...]:
        """The mistakes to make."""

    @property
    def checks_plan(self) -> bool:
        """Whether a checker compares the plan with the task, too."""


class ReplyBuilder:
    """Builds one reply.

    Attributes:
        applied: the errors that were made in it.
    """

    def __init__(
        self,
        policy: PolicySettings,
        conversation: ParsedConversation,
        request: ChatRequest,
        name: str,
        duty: str,
    ) -> None:
        self.policy, self.conversation, self.request = policy, conversation, request
        self.domain, self.problem = policy.domain, policy.problem
        self.name, self.duty = name, duty
        self.applied: list[InjectedError] = []

    def answer(self) -> ChatReply:
        """The reply that the duty asks for."""
        return {
            "planner": self.plan,
            "worker": self.work,
            "checker": self._check,
            "reporter": self.report,
            "manager": self._manage,
            "author": self._author,
        }[self.duty]()

    def find_error(self, action: Action, key: str, *, nth: int = 0) -> InjectedError | None:
        """Return the error planned for this action, if any, and note it as applied."""
        for error in self.policy.errors:
            if error.action == action and error.key == key and error.nth == nth:
                self.applied.append(error)
                return error
        return None

    def say(self, what: str, *key: object) -> str:
        """Some talk for an occasion, which the seed chooses."""
        return pick(PHRASES[self.domain.name, what], self.policy.seed, self.problem.id, what, *key)

    # -- planning

    def plan_points(self) -> list[tuple[str, str]]:
        """The steps: letter, and spec with what it gives."""
        lines = []
        for goal in self.problem.goals:
            error = self.find_error("plan", goal.key)
            spec = error.replacement if error else goal.spec
            lines.append((goal.key, spec + (f" -- {goal.about}" if goal.about else "")))
        return lines

    def plan(self) -> ChatReply:
        """Split the task."""
        listed = "\n".join(f"Step {key}: {rest}" for key, rest in self.plan_points())
        return ChatReply(f"{self.say('plan opening')}\n\n{listed}\n\n{self.say('plan closing')}")

    # -- working

    def work(self) -> ChatReply:
        """Do one step: the one that is ordered, or the first that is open."""
        order = self.conversation.order
        if order is None:
            if not self.conversation.open_keys:
                return ChatReply("There is nothing left to do.\n\nALL DONE")
            key = self.conversation.open_keys[0]
            order = Order(key, self.conversation.specs[key], {})
        values = {**self.conversation.values, **order.given}
        key, spec, tool_results = order.key, order.spec, self.conversation.tool_results
        # a repair is made with care
        first = key not in self.conversation.results and not self.conversation.redone.get(key)
        if call := self._call(key, spec, values, tool_results, first=first):
            return ChatReply(None, (call,))
        value = self._result(key, spec, values, tool_results, first=first)
        stated = self.domain.result_text(key, value)
        text = f"{self.say('result', key, first)}\n\n{stated}"
        if self.duty == "worker" and [k for k in self.conversation.open_keys if k != key] == []:
            text += "\n\nALL DONE"
        return ChatReply(text)

    def _call(
        self,
        key: str,
        spec: str,
        values: Mapping[str, str],
        tool_results: Sequence[ToolResult],
        *,
        first: bool,
    ) -> ScriptedCall | None:
        """The tool call that comes next, if the worker has tools and uses them for this step."""
        if not self.request.tool_names:
            return None
        call = self.domain.next_call(spec, values, tool_results)
        error = self.find_error("call", key, nth=len(tool_results)) if first and call else None
        if error is not None and call is not None:
            return ScriptedCall(call.name, json.loads(error.replacement))
        skips = self.domain.may_skip_tools(spec) and self._skips_tools(key)
        return None if skips and not tool_results else call

    def _skips_tools(self, key: str) -> bool:
        return skips_tools(self.policy.seed, self.problem, key)

    def work_through(self) -> ChatReply:
        """Do all steps in one go: state a result and begin the next step in the same reply."""
        parts: list[str] = []
        tool_results, values = self.conversation.tool_results, self.conversation.values
        for key in self.conversation.open_keys:
            spec = self.conversation.specs[key]
            if call := self._call(key, spec, values, tool_results, first=True):
                return ChatReply("\n\n".join(parts) or None, (call,))
            value = self._result(key, spec, values, tool_results, first=True)
            stated = self.domain.result_text(key, value)
            parts.append(f"{self.say('result', key, True)}\n\n{stated}")
            values, tool_results = {**values, key: value}, []
        everything = [self.domain.result_text(key, value) for key, value in values.items()]
        return ChatReply("\n".join([self.say("all results"), "", *everything]))

    def _result(
        self,
        key: str,
        spec: str,
        values: Mapping[str, str],
        tool_results: Sequence[ToolResult],
        *,
        first: bool,
    ) -> str:
        error = self.find_error("state", key) if first else None
        if error is not None:
            return error.replacement
        if tool_results:
            return self.domain.conclude(spec, values, tool_results)
        return self.domain.evaluate(spec, values)

    # -- checking

    def _check(self) -> ChatReply:
        wrong = dict(self._findings())
        check_number = self.conversation.checks
        if not wrong:
            return ChatReply(f"{self.say('check passed', check_number)}\n\nVERDICT: PASS")
        for (
            key
        ) in self.conversation.planned:  # what follows from a wrong result has to be done again
            spec = self.conversation.specs[key]
            if (
                key in self.conversation.results
                and key not in wrong
                and wrong.keys() & self.domain.needs(spec)
            ):
                wrong[key] = spec
        demands = "\n".join(f"Redo step {key} as: {spec}" for key, spec in sorted(wrong.items()))
        return ChatReply(f"{self.say('check failed', check_number)}\n\n{demands}\n\nVERDICT: FAIL")

    def _findings(self) -> Iterator[tuple[str, str]]:
        """Steps that have to be done again, and as what."""
        conversation, values = self.conversation, self.conversation.values
        for key in conversation.planned:
            errors = [s for s in self.policy.errors if s.action == "check" and s.key == key]
            blind = next((s for s in errors if not s.replacement), None)
            alarm = next((s for s in errors if s.replacement), None)
            spec, goal = conversation.specs[key], self.problem.goal(key)
            if (
                alarm is not None
                and key in conversation.unchecked
                and not conversation.redone.get(key)
            ):
                self.applied.append(alarm)
                yield key, alarm.replacement
                continue
            misplanned = self.policy.checks_plan and goal is not None and spec != goal.spec
            misplanned = misplanned and not conversation.redone.get(key)
            unfaithful = key in values and key not in conversation.open_redos
            unfaithful = unfaithful and self.domain.evaluate(spec, values) != values[key]
            if blind is not None and (misplanned or unfaithful):
                self.applied.append(blind)
            elif misplanned and goal is not None:
                yield key, goal.spec
            elif unfaithful:
                yield key, spec

    # -- reporting

    def report(self) -> ChatReply:
        """Give the final answer."""
        error = self.find_error("report", "")
        planned = {
            k: v for k, v in self.conversation.values.items() if k in self.conversation.planned
        }
        answer = error.replacement if error else self.domain.combine(planned)
        return ChatReply(f"{self.say('report')}\n\n{self.domain.answer_text(answer)}")

    # -- managing

    def _manage(self) -> ChatReply:
        conversation, roles = self.conversation, self._team()
        if not conversation.planned:
            return ChatReply(f"{self.say('ask for plan')}\n\nNEXT: {roles['planner'][0]}")
        if not conversation.open_keys:
            if conversation.verdict == "PASS":
                report = self.report()
                return ChatReply(f"{report.content}\n\nNEXT: FINISH")
            return ChatReply(f"{self.say('ask for check')}\n\nNEXT: {roles['checker'][0]}")
        key = conversation.open_keys[0]
        error = self.find_error("assign", key) if not conversation.orders.get(key) else None
        if error is not None and not error.replacement:
            answer = self.domain.answer_text(self.domain.combine(conversation.values))
            return ChatReply(f"{self.say('report')}\n\n{answer}\n\nNEXT: FINISH")
        rest = (
            error.replacement
            if error
            else order_text(self.domain, conversation.specs[key], conversation.values)
        )
        worker = pick(roles["worker"], self.policy.seed, self.problem.id, key, "who")
        talk = self.say("order", key, conversation.orders.get(key, 0))
        return ChatReply(f"{talk}\n\nDo step {key}: {rest}\n\nNEXT: {worker}")

    def _team(self) -> dict[str, list[str]]:
        """Who there is, from the manager's instructions."""
        instructions = self.request.system
        planner = instructions.partition("first ")[2].partition(" for a plan")[0]
        workers = instructions.partition("one of ")[2].partition(", with")[0].split(" or ")
        checker = instructions.partition("; then ")[2].partition(", and again")[0]
        return {"planner": [planner], "worker": workers, "checker": [checker]}

    # -- an author does it all

    def _author(self) -> ChatReply:
        if not self.conversation.planned:
            return self.plan()
        if self.conversation.open_keys:
            return self.work()
        return self.report()


def skips_tools(seed: int, problem: Problem, key: str) -> bool:
    """A habit: some steps are done without a tool where that is possible, rightly or wrongly."""
    return pick((True, False, False), seed, problem.id, key, "in the head")


def order_text(domain: Domain, spec: str, values: Mapping[str, str]) -> str:
    """The rest of an order: the spec, and the results that it needs."""
    results = "; ".join(f"{key} = {values[key]}" for key in domain.needs(spec) if key in values)
    return f"{spec} | given {results}" if results else spec
