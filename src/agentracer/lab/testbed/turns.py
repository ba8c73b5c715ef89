"""One reply of a scripted agent: what its duty asks for, and whether a slip befalls it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from agentracer.lab.testbed.phrases import PHRASES
from agentracer.lab.testbed.problems import Act, Domain, Problem, Slip, ToolResult, pick
from agentracer.lab.testbed.scene import Order, Scene
from agentracer.lab.testbed.server import ChatReply, ChatRequest, ToolRequest

__all__ = ["Character", "Turn", "in_the_head", "order_text"]


class Character(Protocol):
    """What a turn needs to know of the policy."""

    @property
    def domain(self) -> Domain:
        """What is known about problems of this kind."""

    @property
    def problem(self) -> Problem:
        """The one that the team has."""

    @property
    def seed(self) -> int:
        """Decides the wording and small habits."""

    @property
    def slips(self) -> tuple[Slip, ...]:
        """The mistakes to make."""

    @property
    def keen(self) -> bool:
        """Whether a checker compares the plan with the task, too."""


class Turn:
    """One reply: which duty, which act, and whether a slip befalls it."""

    def __init__(
        self, policy: Character, scene: Scene, request: ChatRequest, name: str, duty: str
    ) -> None:
        self.policy, self.scene, self.request = policy, scene, request
        self.domain, self.problem = policy.domain, policy.problem
        self.name, self.duty = name, duty
        self.made: list[Slip] = []

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

    def find_slip(self, act: Act, key: str, *, nth: int = 0) -> Slip | None:
        """The slip that befalls this act, which is then noted for the log."""
        for slip in self.policy.slips:
            if slip.act == act and slip.key == key and slip.nth == nth:
                self.made.append(slip)
                return slip
        return None

    def say(self, what: str, *key: object) -> str:
        """Some talk for an occasion, which the seed chooses."""
        return pick(PHRASES[self.domain.name, what], self.policy.seed, self.problem.id, what, *key)

    # -- planning

    def plan_points(self) -> list[tuple[str, str]]:
        """The steps: letter, and spec with what it gives."""
        lines = []
        for goal in self.problem.goals:
            slip = self.find_slip("plan", goal.key)
            spec = slip.says if slip else goal.spec
            lines.append((goal.key, spec + (f" -- {goal.about}" if goal.about else "")))
        return lines

    def plan(self) -> ChatReply:
        """Split the task."""
        listed = "\n".join(f"Step {key}: {rest}" for key, rest in self.plan_points())
        return ChatReply(f"{self.say('plan opening')}\n\n{listed}\n\n{self.say('plan closing')}")

    # -- working

    def work(self) -> ChatReply:
        """Do one step: the one that is ordered, or the first that is open."""
        order = self.scene.order
        if order is None:
            if not self.scene.open_keys:
                return ChatReply("There is nothing left to do.\n\nALL DONE")
            key = self.scene.open_keys[0]
            order = Order(key, self.scene.specs[key], {})
        values = {**self.scene.values, **order.given}
        key, spec, done = order.key, order.spec, self.scene.tool_results
        # a repair is made with care
        first = key not in self.scene.results and not self.scene.redone.get(key)
        if call := self._call(key, spec, values, done, first=first):
            return ChatReply(None, (call,))
        value = self._result(key, spec, values, done, first=first)
        stated = self.domain.result_text(key, value)
        text = f"{self.say('result', key, first)}\n\n{stated}"
        if self.duty == "worker" and [k for k in self.scene.open_keys if k != key] == []:
            text += "\n\nALL DONE"
        return ChatReply(text)

    def _call(
        self,
        key: str,
        spec: str,
        values: Mapping[str, str],
        done: Sequence[ToolResult],
        *,
        first: bool,
    ) -> ToolRequest | None:
        """The tool call that comes next, if the worker has tools and uses them for this step."""
        if not self.request.tool_names:
            return None
        call = self.domain.next_call(spec, values, done)
        slip = self.find_slip("call", key, nth=len(done)) if first and call else None
        if slip is not None and call is not None:
            return ToolRequest(call.name, json.loads(slip.says))
        skips = self.domain.may_skip_tools(spec) and self._in_the_head(key)
        return None if skips and not done else call

    def _in_the_head(self, key: str) -> bool:
        return in_the_head(self.policy.seed, self.problem, key)

    def work_through(self) -> ChatReply:
        """Do all steps in one go: state a result and begin the next step in the same reply."""
        said: list[str] = []
        done, values = self.scene.tool_results, self.scene.values
        for key in self.scene.open_keys:
            spec = self.scene.specs[key]
            if call := self._call(key, spec, values, done, first=True):
                return ChatReply("\n\n".join(said) or None, (call,))
            value = self._result(key, spec, values, done, first=True)
            stated = self.domain.result_text(key, value)
            said.append(f"{self.say('result', key, True)}\n\n{stated}")
            values, done = {**values, key: value}, []
        everything = [self.domain.result_text(key, value) for key, value in values.items()]
        return ChatReply("\n".join([self.say("all results"), "", *everything]))

    def _result(
        self,
        key: str,
        spec: str,
        values: Mapping[str, str],
        done: Sequence[ToolResult],
        *,
        first: bool,
    ) -> str:
        slip = self.find_slip("state", key) if first else None
        if slip is not None:
            return slip.says
        if done:
            return self.domain.conclude(spec, values, done)
        return self.domain.evaluate(spec, values)

    # -- checking

    def _check(self) -> ChatReply:
        wrong = dict(self._findings())
        turn = self.scene.checks
        if not wrong:
            return ChatReply(f"{self.say('check passed', turn)}\n\nVERDICT: PASS")
        for key in self.scene.planned:  # what follows from a wrong result has to be done again
            spec = self.scene.specs[key]
            if (
                key in self.scene.results
                and key not in wrong
                and wrong.keys() & self.domain.needs(spec)
            ):
                wrong[key] = spec
        demands = "\n".join(f"Redo step {key} as: {spec}" for key, spec in sorted(wrong.items()))
        return ChatReply(f"{self.say('check failed', turn)}\n\n{demands}\n\nVERDICT: FAIL")

    def _findings(self) -> Iterator[tuple[str, str]]:
        """Steps that have to be done again, and as what."""
        scene, values = self.scene, self.scene.values
        for key in scene.planned:
            slips = [s for s in self.policy.slips if s.act == "check" and s.key == key]
            blind = next((s for s in slips if not s.says), None)
            alarm = next((s for s in slips if s.says), None)
            spec, goal = scene.specs[key], self.problem.goal(key)
            if alarm is not None and key in scene.unchecked and not scene.redone.get(key):
                self.made.append(alarm)
                yield key, alarm.says
                continue
            misplanned = self.policy.keen and goal is not None and spec != goal.spec
            misplanned = misplanned and not scene.redone.get(key)
            unfaithful = key in values and key not in scene.open_redos
            unfaithful = unfaithful and self.domain.evaluate(spec, values) != values[key]
            if blind is not None and (misplanned or unfaithful):
                self.made.append(blind)
            elif misplanned and goal is not None:
                yield key, goal.spec
            elif unfaithful:
                yield key, spec

    # -- reporting

    def report(self) -> ChatReply:
        """Give the final answer."""
        slip = self.find_slip("report", "")
        planned = {k: v for k, v in self.scene.values.items() if k in self.scene.planned}
        answer = slip.says if slip else self.domain.combine(planned)
        return ChatReply(f"{self.say('report')}\n\n{self.domain.answer_text(answer)}")

    # -- managing

    def _manage(self) -> ChatReply:
        scene, roles = self.scene, self._team()
        if not scene.planned:
            return ChatReply(f"{self.say('ask for plan')}\n\nNEXT: {roles['planner'][0]}")
        if not scene.open_keys:
            if scene.verdict == "PASS":
                report = self.report()
                return ChatReply(f"{report.content}\n\nNEXT: FINISH")
            return ChatReply(f"{self.say('ask for check')}\n\nNEXT: {roles['checker'][0]}")
        key = scene.open_keys[0]
        slip = self.find_slip("assign", key) if not scene.orders.get(key) else None
        if slip is not None and not slip.says:
            answer = self.domain.answer_text(self.domain.combine(scene.values))
            return ChatReply(f"{self.say('report')}\n\n{answer}\n\nNEXT: FINISH")
        rest = slip.says if slip else order_text(self.domain, scene.specs[key], scene.values)
        worker = pick(roles["worker"], self.policy.seed, self.problem.id, key, "who")
        talk = self.say("order", key, scene.orders.get(key, 0))
        return ChatReply(f"{talk}\n\nDo step {key}: {rest}\n\nNEXT: {worker}")

    def _team(self) -> dict[str, list[str]]:
        """Who there is, from the manager's instructions."""
        said = self.request.system
        planner = said.partition("first ")[2].partition(" for a plan")[0]
        workers = said.partition("one of ")[2].partition(", with")[0].split(" or ")
        checker = said.partition("; then ")[2].partition(", and again")[0]
        return {"planner": [planner], "worker": workers, "checker": [checker]}

    # -- an author does it all

    def _author(self) -> ChatReply:
        if not self.scene.planned:
            return self.plan()
        if self.scene.open_keys:
            return self.work()
        return self.report()


def in_the_head(seed: int, problem: Problem, key: str) -> bool:
    """A habit: some steps are done without a tool where that is possible, rightly or wrongly."""
    return pick((True, False, False), seed, problem.id, key, "in the head")


def order_text(domain: Domain, spec: str, values: Mapping[str, str]) -> str:
    """The rest of an order: the spec, and the results that it needs."""
    given = "; ".join(f"{key} = {values[key]}" for key in domain.needs(spec) if key in values)
    return f"{spec} | given {given}" if given else spec
