"""Choose what goes wrong in a run: which errors, on which goals, and which of them is decisive.

The decisive error is known by construction: the earliest one whose absence alone makes the run
succeed. The patterns:

    clean         nothing goes wrong                                                     succeeds
    repaired      a wrong result (or plan) that a checker sees and that is repaired      succeeds
    harmless      a tool call that fails and is made again                               succeeds
    single        one mistake that no agent sees                                         fails
    missed        a wrong result that the checker misses too (two candidates)            fails
    alarm         the checker demands a change that makes a right result wrong           fails
    decoy         as the three before, with a repaired or harmless mistake elsewhere     fails
    two           two mistakes, each of which is enough: no single step flips the run    fails
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from agentracer.lab.testbed.problems import (
    Domain,
    Goal,
    InjectedError,
    Problem,
    pick,
    shuffled,
    values_of,
)
from agentracer.lab.testbed.reply_builder import order_text, skips_tools
from agentracer.lab.testbed.rosters import Topology
from agentracer.lab.testbed.team_policy import TeamPolicy

__all__ = ["PATTERNS", "Pattern", "Scenario", "answer_with", "scenario"]

Pattern = Literal["clean", "repaired", "harmless", "single", "missed", "alarm", "decoy", "two"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)
"""All patterns."""

_BLIND = "unverified claim"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run to make.

    Attributes:
        problem: what the team has to do.
        errors: everything that goes wrong.
        decisive: the injected error whose step is decisive; None where no single step is.
        pattern: see the module.
        checks_plan: whether the checker also compares the plan with the task.
    """

    problem: Problem
    errors: tuple[InjectedError, ...]
    decisive: InjectedError | None
    pattern: Pattern
    checks_plan: bool = False

    @property
    def fails(self) -> bool:
        """Whether the run is going to fail."""
        return self.pattern not in ("clean", "repaired", "harmless")

    def policy(self, domain: Domain, seed: int) -> TeamPolicy:
        """The scripted model of this run."""
        return TeamPolicy(domain, self.problem, seed, self.errors, checks_plan=self.checks_plan)


def scenario(
    domain: Domain,
    topology: Topology,
    problem: Problem,
    seed: int,
    pattern: Pattern,
    framework: str = "langgraph",
) -> Scenario | None:
    """A run of a pattern; None where this problem in this topology has no such run.

    A hub of CAMEL is a Workforce: its coordinator hands over the results of earlier subtasks, so
    that what goes wrong there is that it forgets one.
    """
    builder = _ScenarioBuilder(domain, topology, problem, seed)
    if not domain.check(problem, domain.combine(builder.values)):
        return None  # a reference solution that its own tests refuse, as some of others' data
    builder.workforce = framework == "camel" and topology == "hub"
    builder.in_one_go = framework == "camel" and topology == "pipeline"
    choice = builder.write(pattern)
    if choice is None:
        return None
    errors, decisive = choice
    checks_plan = any(
        error.kind.startswith("(repaired)") and error.action == "plan" for error in errors
    )
    plain = tuple(_plain(error) for error in errors)
    return Scenario(problem, plain, _plain(decisive) if decisive else None, pattern, checks_plan)


def answer_with(domain: Domain, problem: Problem, errors: Sequence[InjectedError]) -> str:
    """The final answer of a team that makes these errors and repairs none of them."""
    by = {
        (error.action, error.key): error
        for error in errors
        if error.replacement or error.action == "assign"
    }
    if report := by.get(("report", "")):
        return report.replacement
    values: dict[str, str] = {}
    for goal in problem.goals:
        key = goal.key
        order = by.get(("assign", key))
        if order is not None and not order.replacement:
            break
        respecified = by.get(("check", key)) or by.get(("plan", key))
        value = domain.evaluate(respecified.replacement if respecified else goal.spec, values)
        worked = by.get(("state", key)) or by.get(("call", key)) or order
        if worked is not None and ("check", key) not in by and worked.value is not None:
            value = worked.value
        values[key] = value
    return domain.combine(values)


class _ScenarioBuilder:
    """Combine errors for one problem in one topology."""

    def __init__(self, domain: Domain, topology: Topology, problem: Problem, seed: int) -> None:
        self.domain, self.topology, self.problem = domain, topology, problem
        self.seed = seed
        self.values = values_of(domain, problem)
        self.workforce = self.in_one_go = False

    def write(self, pattern: Pattern) -> tuple[list[InjectedError], InjectedError | None] | None:
        kinds: Mapping[
            Pattern, Callable[[], tuple[list[InjectedError], InjectedError | None] | None]
        ] = {
            "clean": lambda: ([], None),
            "repaired": self._repaired_only,
            "harmless": self._repeated_call_only,
            "single": lambda: self._first(self._single()),
            "missed": lambda: self._first(self._missed()),
            "alarm": lambda: self._first(self._alarms()),
            "decoy": self._with_decoy,
            "two": self._two,
        }
        return kinds[pattern]()

    # -- what may go wrong, each with what hides it

    @property
    def _checked(self) -> bool:
        return self.topology != "pipeline"

    def _goals(self, *key: object) -> list[Goal]:
        return shuffled(self.problem.goals, self.seed, self.problem.id, *key)

    def _choose(self, options: Sequence[InjectedError], *key: object) -> Iterator[InjectedError]:
        """Options that change the answer, in an order that the seed decides."""
        for error in shuffled(options, self.seed, self.problem.id, *key):
            if self._changes_answer([error]):
                yield error

    def _changes_answer(self, errors: Sequence[InjectedError]) -> bool:
        wrong = answer_with(self.domain, self.problem, errors)
        return not self.domain.check(self.problem, wrong)

    def _single(self) -> Iterator[list[InjectedError]]:
        """Mistakes that no agent of this topology sees."""
        makers: list[Callable[[Goal], Sequence[InjectedError]]] = [self._plans]
        if self.topology == "hub":
            makers.append(self._forgotten_results if self.workforce else self._early_stops)
        if not self._checked:
            makers += [self._states, self._calls]
        # A wrong report is always the last step, or nearly: a third as often as other mistakes.
        late = [None] * pick((0, 0, 1), self.seed, self.problem.id, "late")
        actions = [*makers, *late]
        for maker in shuffled(actions, self.seed, self.problem.id, "single"):
            if maker is None:
                yield from ([error] for error in self._choose(self._reports(), "report"))
                continue
            for goal in self._goals("single", actions.index(maker)):
                yield from ([error] for error in self._choose(maker(goal), "single", goal.key))

    def _missed(self) -> Iterator[list[InjectedError]]:
        """Wrong results that a checker could see and does not."""
        if not self._checked:
            return
        makers = [self._states, self._calls]
        if self.topology == "hub" and not self.workforce:
            makers.append(self._orders)
        for maker in shuffled(makers, self.seed, self.problem.id, "missed"):
            for goal in self._goals("missed"):
                for error in self._choose(maker(goal), "missed", goal.key):
                    yield [error, InjectedError("check", goal.key, _BLIND, "")]

    def _alarms(self) -> Iterator[list[InjectedError]]:
        if not self._checked:
            return
        for goal in self._goals("alarm"):
            options = [
                InjectedError("check", goal.key, "false alarm", spec)
                for _, spec in self.domain.wrong_specs(self.problem, goal)
            ]
            yield from ([error] for error in self._choose(options, "alarm", goal.key))

    def _without_tool(self, goal: Goal) -> bool:
        """Whether this goal is worked out without a tool."""
        if self.domain.next_call(goal.spec, self.values, ()) is None:
            return True
        skips = skips_tools(self.seed, self.problem, goal.key)
        return skips and self.domain.may_skip_tools(goal.spec)

    def _plans(self, goal: Goal) -> list[InjectedError]:
        return [
            InjectedError("plan", goal.key, kind, spec)
            for kind, spec in self.domain.wrong_specs(self.problem, goal)
        ]

    def _states(self, goal: Goal) -> list[InjectedError]:
        alone = self._without_tool(goal)
        kind = "wrong without a tool" if alone else self.domain.misread
        return [
            InjectedError("state", goal.key, f"{kind}: {how}", value, value)
            for how, value in self.domain.wrong_values(self.problem, goal, self.values)
        ]

    def _calls(self, goal: Goal) -> list[InjectedError]:
        if self._without_tool(goal):
            return []
        return [
            InjectedError("call", goal.key, c.kind, json.dumps(c.arguments), c.value, c.nth)
            for c in self.domain.wrong_calls(self.problem, goal, self.values)
        ]

    def _orders(self, goal: Goal) -> list[InjectedError]:
        """Bad hand-offs: a wrong value passed on, or a step passed on wrongly."""
        errors = []
        for key in self.domain.needs(goal.spec):
            earlier = self.problem.goal(key)
            wrong = self.domain.wrong_values(self.problem, earlier, self.values) if earlier else ()
            for _, value in wrong[:2]:
                values = {**self.values, key: value}
                outcome = self.domain.evaluate(goal.spec, values)
                order = order_text(self.domain, goal.spec, values)
                errors.append(
                    InjectedError("assign", goal.key, "wrong value handed over", order, outcome)
                )
        for _, spec in self.domain.wrong_specs(self.problem, goal)[:2]:
            outcome = self.domain.evaluate(spec, self.values)
            order = order_text(self.domain, spec, self.values)
            errors.append(
                InjectedError("assign", goal.key, "step handed over wrongly", order, outcome)
            )
        return errors

    def _forgotten_results(self, goal: Goal) -> list[InjectedError]:
        """An earlier result that is not passed on; the last one has to be, to keep the order."""
        errors = []
        at = self.problem.goals.index(goal)
        for key in self.domain.needs(goal.spec):
            if at and key != self.problem.goals[at - 1].key:
                values = {k: v for k, v in self.values.items() if k != key}
                value = self.domain.evaluate(goal.spec, values)
                errors.append(
                    InjectedError("assign", goal.key, "result not handed over", key, value)
                )
        return errors

    def _early_stops(self, goal: Goal) -> list[InjectedError]:
        first = goal is self.problem.goals[0]
        return [] if first else [InjectedError("assign", goal.key, "stopped too early", "")]

    def _reports(self) -> list[InjectedError]:
        answers = self.domain.wrong_answers(self.problem, self.values)
        return [InjectedError("report", "", kind, answer) for kind, answer in answers]

    # -- patterns

    def _first(
        self, options: Iterator[list[InjectedError]]
    ) -> tuple[list[InjectedError], InjectedError] | None:
        errors = next(options, None)
        return None if errors is None else (errors, errors[0])

    def _failing(self) -> Iterator[list[InjectedError]]:
        """Every way to fail by one mistake, in an order that the seed decides."""
        ways = [self._single, self._missed, self._alarms]
        for way in shuffled(ways, self.seed, self.problem.id, "failing"):
            yield from way()

    def _repairable(self) -> Iterator[InjectedError]:
        """Mistakes that the checker sees."""
        if not self._checked:
            return
        for goal in self._goals("repairable"):
            yield from self._choose([*self._states(goal), *self._calls(goal)], "rep", goal.key)
            for error in self._choose(self._plans(goal), "repairable plan", goal.key):
                yield InjectedError(
                    error.action, error.key, f"(repaired) {error.kind}", error.replacement
                )

    def _repeated_calls(self) -> Iterator[InjectedError]:
        """Tool calls that fail, and are made again."""
        for goal in self._goals("harmless"):
            if self._without_tool(goal):
                continue
            for call in self.domain.failing_calls(self.problem, goal, self.values):
                yield InjectedError(
                    "call", goal.key, call.kind, json.dumps(call.arguments), None, call.nth
                )

    def _repaired_only(self) -> tuple[list[InjectedError], None] | None:
        options = list(self._spread(self._repairable(), 12))
        return ([pick(options, self.seed, self.problem.id, "which")], None) if options else None

    def _repeated_call_only(self) -> tuple[list[InjectedError], None] | None:
        error = next(self._repeated_calls(), None)
        return None if error is None else ([error], None)

    @staticmethod
    def _spread(errors: Iterator[InjectedError], limit: int) -> Iterator[InjectedError]:
        yield from (error for error, _ in zip(errors, range(limit), strict=False))

    def _with_decoy(self) -> tuple[list[InjectedError], InjectedError] | None:
        failing = next(self._failing(), None)
        if failing is None:
            return None
        decisive = failing[0]
        decoys = [*self._spread(self._repairable(), 60), *self._spread(self._repeated_calls(), 20)]
        for decoy in shuffled(decoys, self.seed, self.problem.id, "decoy"):
            if decoy.key != decisive.key and self._independent(decoy, decisive):
                return [*failing, decoy], decisive
        return None

    def _independent(self, decoy: InjectedError, decisive: InjectedError) -> bool:
        """Whether repairing the decoy leaves the decisive mistake in place."""
        if decoy.kind.startswith("(repaired)") and decisive.action == "plan":
            return False  # a checker that sees one wrong point of the plan sees the other
        if decisive.action == "assign" and not decisive.replacement:
            return self.topology == "hub" and decoy.value is None and decoy.action == "call"
        made_again = decoy.action == "call" and decoy.value is None
        return made_again or decoy.key not in self._ancestors(decisive.key)

    def _ancestors(self, key: str) -> set[str]:
        goal = self.problem.goal(key)
        keys: set[str] = set()
        for earlier in self.domain.needs(goal.spec) if goal else ():
            keys |= {earlier, *self._ancestors(earlier)}
        return keys

    def _two(self) -> tuple[list[InjectedError], None] | None:
        firsts = [*self._some(self._single(), 40), *self._some(self._missed(), 20)]
        order = shuffled(firsts, self.seed, self.problem.id, "two")
        for i, one in enumerate(order[:12]):
            for other in order[i + 1 : i + 12]:
                if self._both(one, other):
                    return [*one, *other], None
        return None

    @staticmethod
    def _some(options: Iterator[list[InjectedError]], limit: int) -> Iterator[list[InjectedError]]:
        yield from (errors for errors, _ in zip(options, range(limit), strict=False))

    def _both(self, one: list[InjectedError], other: list[InjectedError]) -> bool:
        """Whether two mistakes are in different replies, and both of them come to pass."""
        a, b = one[0], other[0]
        stops = any(error.action == "assign" and not error.replacement for error in (a, b))
        same_reply = a.action == b.action and a.action in ("plan", "report")
        # A checker that is made to look sees both, so one of them at most may be hidden by it.
        one_check_mends_both = len(one) > 1 and len(other) > 1
        # A worker that does all steps in one go may make both in the same reply.
        at_work = self.in_one_go and {a.action, b.action} <= {"state", "call"}
        if stops or same_reply or at_work or a.key == b.key or one_check_mends_both:
            return False
        return self._changes_answer([*one, *other])


def _plain(error: InjectedError) -> InjectedError:
    kind = error.kind.removeprefix("(repaired) ")
    return InjectedError(error.action, error.key, kind, error.replacement, error.value, error.nth)
