"""What goes wrong in a run: which slips, on which goals, and which of them is decisive.

The decisive slip is known by construction: the earliest one whose absence alone makes the run
succeed. The patterns:

    clean         nothing goes wrong                                                     succeeds
    repaired      a wrong result (or plan) that a checker sees and that is repaired      succeeds
    harmless      a tool call that fails and is made again                               succeeds
    single        one mistake that nobody sees                                           fails
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
    Problem,
    Slip,
    pick,
    shuffled,
    values_of,
)
from agentracer.lab.testbed.rosters import Topology
from agentracer.lab.testbed.team_policy import TeamPolicy
from agentracer.lab.testbed.turns import in_the_head, order_text

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
        slips: everything that goes wrong.
        decisive: the slip whose step is the decisive error; None where no single step is.
        pattern: see the module.
        keen: whether the checker also compares the plan with the task.
    """

    problem: Problem
    slips: tuple[Slip, ...]
    decisive: Slip | None
    pattern: Pattern
    keen: bool = False

    @property
    def fails(self) -> bool:
        """Whether the run is going to fail."""
        return self.pattern not in ("clean", "repaired", "harmless")

    def policy(self, domain: Domain, seed: int) -> TeamPolicy:
        """The scripted model of this run."""
        return TeamPolicy(domain, self.problem, seed, self.slips, keen=self.keen)


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
    writer = _Writer(domain, topology, problem, seed)
    if not domain.check(problem, domain.combine(writer.values)):
        return None  # a reference solution that its own tests refuse, as some of others' data
    writer.workforce = framework == "camel" and topology == "hub"
    writer.in_one_go = framework == "camel" and topology == "pipeline"
    found = writer.write(pattern)
    if found is None:
        return None
    slips, decisive = found
    keen = any(slip.kind.startswith("(repaired)") and slip.act == "plan" for slip in slips)
    plain = tuple(_plain(slip) for slip in slips)
    return Scenario(problem, plain, _plain(decisive) if decisive else None, pattern, keen)


def answer_with(domain: Domain, problem: Problem, slips: Sequence[Slip]) -> str:
    """The final answer of a team that makes these slips and repairs none of them."""
    by = {(slip.act, slip.key): slip for slip in slips if slip.says or slip.act == "assign"}
    if report := by.get(("report", "")):
        return report.says
    values: dict[str, str] = {}
    for goal in problem.goals:
        key = goal.key
        order = by.get(("assign", key))
        if order is not None and not order.says:
            break
        respecified = by.get(("check", key)) or by.get(("plan", key))
        value = domain.evaluate(respecified.says if respecified else goal.spec, values)
        worked = by.get(("state", key)) or by.get(("call", key)) or order
        if worked is not None and ("check", key) not in by and worked.value is not None:
            value = worked.value
        values[key] = value
    return domain.combine(values)


class _Writer:
    """Puts slips together for one problem in one topology."""

    def __init__(self, domain: Domain, topology: Topology, problem: Problem, seed: int) -> None:
        self.domain, self.topology, self.problem = domain, topology, problem
        self.seed = seed
        self.values = values_of(domain, problem)
        self.workforce = self.in_one_go = False

    def write(self, pattern: Pattern) -> tuple[list[Slip], Slip | None] | None:
        kinds: Mapping[Pattern, Callable[[], tuple[list[Slip], Slip | None] | None]] = {
            "clean": lambda: ([], None),
            "repaired": self._repaired_only,
            "harmless": self._harmless_only,
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

    def _choose(self, options: Sequence[Slip], *key: object) -> Iterator[Slip]:
        """Options that change the answer, in an order that the seed decides."""
        for slip in shuffled(options, self.seed, self.problem.id, *key):
            if self._matters([slip]):
                yield slip

    def _matters(self, slips: Sequence[Slip]) -> bool:
        wrong = answer_with(self.domain, self.problem, slips)
        return not self.domain.check(self.problem, wrong)

    def _single(self) -> Iterator[list[Slip]]:
        """Mistakes that nobody in this topology sees."""
        makers: list[Callable[[Goal], Sequence[Slip]]] = [self._plans]
        if self.topology == "hub":
            makers.append(self._forgets if self.workforce else self._stops)
        if not self._checked:
            makers += [self._states, self._calls]
        # A wrong report is always the last step, or nearly: a third as often as other mistakes.
        late = [None] * pick((0, 0, 1), self.seed, self.problem.id, "late")
        acts = [*makers, *late]
        for maker in shuffled(acts, self.seed, self.problem.id, "single"):
            if maker is None:
                yield from ([slip] for slip in self._choose(self._reports(), "report"))
                continue
            for goal in self._goals("single", acts.index(maker)):
                yield from ([slip] for slip in self._choose(maker(goal), "single", goal.key))

    def _missed(self) -> Iterator[list[Slip]]:
        """Wrong results that a checker could see and does not."""
        if not self._checked:
            return
        makers = [self._states, self._calls]
        if self.topology == "hub" and not self.workforce:
            makers.append(self._orders)
        for maker in shuffled(makers, self.seed, self.problem.id, "missed"):
            for goal in self._goals("missed"):
                for slip in self._choose(maker(goal), "missed", goal.key):
                    yield [slip, Slip("check", goal.key, _BLIND, "")]

    def _alarms(self) -> Iterator[list[Slip]]:
        if not self._checked:
            return
        for goal in self._goals("alarm"):
            options = [
                Slip("check", goal.key, "false alarm", spec)
                for _, spec in self.domain.wrong_specs(self.problem, goal)
            ]
            yield from ([slip] for slip in self._choose(options, "alarm", goal.key))

    def _alone(self, goal: Goal) -> bool:
        """Whether this goal is worked out without a tool."""
        if self.domain.next_call(goal.spec, self.values, ()) is None:
            return True
        skips = in_the_head(self.seed, self.problem, goal.key)
        return skips and self.domain.may_skip_tools(goal.spec)

    def _plans(self, goal: Goal) -> list[Slip]:
        return [
            Slip("plan", goal.key, kind, spec)
            for kind, spec in self.domain.wrong_specs(self.problem, goal)
        ]

    def _states(self, goal: Goal) -> list[Slip]:
        alone = self._alone(goal)
        kind = "wrong without a tool" if alone else self.domain.misread
        return [
            Slip("state", goal.key, f"{kind}: {how}", value, value)
            for how, value in self.domain.wrong_values(self.problem, goal, self.values)
        ]

    def _calls(self, goal: Goal) -> list[Slip]:
        if self._alone(goal):
            return []
        return [
            Slip("call", goal.key, c.kind, json.dumps(c.arguments), c.value, c.nth)
            for c in self.domain.wrong_calls(self.problem, goal, self.values)
        ]

    def _orders(self, goal: Goal) -> list[Slip]:
        """Bad hand-offs: a wrong value passed on, or a step passed on wrongly."""
        slips = []
        for key in self.domain.needs(goal.spec):
            earlier = self.problem.goal(key)
            wrong = self.domain.wrong_values(self.problem, earlier, self.values) if earlier else ()
            for _, value in wrong[:2]:
                given = {**self.values, key: value}
                came = self.domain.evaluate(goal.spec, given)
                said = order_text(self.domain, goal.spec, given)
                slips.append(Slip("assign", goal.key, "wrong value handed over", said, came))
        for _, spec in self.domain.wrong_specs(self.problem, goal)[:2]:
            came = self.domain.evaluate(spec, self.values)
            said = order_text(self.domain, spec, self.values)
            slips.append(Slip("assign", goal.key, "step handed over wrongly", said, came))
        return slips

    def _forgets(self, goal: Goal) -> list[Slip]:
        """An earlier result that is not passed on; the last one has to be, to keep the order."""
        slips = []
        at = self.problem.goals.index(goal)
        for key in self.domain.needs(goal.spec):
            if at and key != self.problem.goals[at - 1].key:
                known = {k: v for k, v in self.values.items() if k != key}
                came = self.domain.evaluate(goal.spec, known)
                slips.append(Slip("assign", goal.key, "result not handed over", key, came))
        return slips

    def _stops(self, goal: Goal) -> list[Slip]:
        first = goal is self.problem.goals[0]
        return [] if first else [Slip("assign", goal.key, "stopped too early", "")]

    def _reports(self) -> list[Slip]:
        found = self.domain.wrong_answers(self.problem, self.values)
        return [Slip("report", "", kind, answer) for kind, answer in found]

    # -- patterns

    def _first(self, options: Iterator[list[Slip]]) -> tuple[list[Slip], Slip] | None:
        slips = next(options, None)
        return None if slips is None else (slips, slips[0])

    def _failing(self) -> Iterator[list[Slip]]:
        """Every way to fail by one mistake, in an order that the seed decides."""
        ways = [self._single, self._missed, self._alarms]
        for way in shuffled(ways, self.seed, self.problem.id, "failing"):
            yield from way()

    def _repairable(self) -> Iterator[Slip]:
        """Mistakes that the checker sees."""
        if not self._checked:
            return
        for goal in self._goals("repairable"):
            yield from self._choose([*self._states(goal), *self._calls(goal)], "rep", goal.key)
            for slip in self._choose(self._plans(goal), "repairable plan", goal.key):
                yield Slip(slip.act, slip.key, f"(repaired) {slip.kind}", slip.says)

    def _harmless(self) -> Iterator[Slip]:
        """Tool calls that fail, and are made again."""
        for goal in self._goals("harmless"):
            if self._alone(goal):
                continue
            for call in self.domain.failing_calls(self.problem, goal, self.values):
                yield Slip("call", goal.key, call.kind, json.dumps(call.arguments), None, call.nth)

    def _repaired_only(self) -> tuple[list[Slip], None] | None:
        found = list(self._spread(self._repairable(), 12))
        return ([pick(found, self.seed, self.problem.id, "which")], None) if found else None

    def _harmless_only(self) -> tuple[list[Slip], None] | None:
        slip = next(self._harmless(), None)
        return None if slip is None else ([slip], None)

    @staticmethod
    def _spread(slips: Iterator[Slip], limit: int) -> Iterator[Slip]:
        yield from (slip for slip, _ in zip(slips, range(limit), strict=False))

    def _with_decoy(self) -> tuple[list[Slip], Slip] | None:
        failing = next(self._failing(), None)
        if failing is None:
            return None
        decisive = failing[0]
        decoys = [*self._spread(self._repairable(), 60), *self._spread(self._harmless(), 20)]
        for decoy in shuffled(decoys, self.seed, self.problem.id, "decoy"):
            if decoy.key != decisive.key and self._independent(decoy, decisive):
                return [*failing, decoy], decisive
        return None

    def _independent(self, decoy: Slip, decisive: Slip) -> bool:
        """Whether repairing the decoy leaves the decisive mistake in place."""
        if decoy.kind.startswith("(repaired)") and decisive.act == "plan":
            return False  # a checker that sees one wrong point of the plan sees the other
        if decisive.act == "assign" and not decisive.says:
            return self.topology == "hub" and decoy.value is None and decoy.act == "call"
        made_again = decoy.act == "call" and decoy.value is None
        return made_again or decoy.key not in self._ancestors(decisive.key)

    def _ancestors(self, key: str) -> set[str]:
        goal = self.problem.goal(key)
        found: set[str] = set()
        for earlier in self.domain.needs(goal.spec) if goal else ():
            found |= {earlier, *self._ancestors(earlier)}
        return found

    def _two(self) -> tuple[list[Slip], None] | None:
        firsts = [*self._some(self._single(), 40), *self._some(self._missed(), 20)]
        order = shuffled(firsts, self.seed, self.problem.id, "two")
        for i, one in enumerate(order[:12]):
            for other in order[i + 1 : i + 12]:
                if self._both(one, other):
                    return [*one, *other], None
        return None

    @staticmethod
    def _some(options: Iterator[list[Slip]], limit: int) -> Iterator[list[Slip]]:
        yield from (slips for slips, _ in zip(options, range(limit), strict=False))

    def _both(self, one: list[Slip], other: list[Slip]) -> bool:
        """Whether two mistakes are in different replies, and both of them come to pass."""
        a, b = one[0], other[0]
        stops = any(slip.act == "assign" and not slip.says for slip in (a, b))
        same_reply = a.act == b.act and a.act in ("plan", "report")
        # A checker that is made to look sees both, so one of them at most may be hidden by it.
        one_check_mends_both = len(one) > 1 and len(other) > 1
        # A worker that does all steps in one go may make both in the same reply.
        at_work = self.in_one_go and {a.act, b.act} <= {"state", "call"}
        if stops or same_reply or at_work or a.key == b.key or one_check_mends_both:
            return False
        return self._matters([*one, *other])


def _plain(slip: Slip) -> Slip:
    kind = slip.kind.removeprefix("(repaired) ")
    return Slip(slip.act, slip.key, kind, slip.says, slip.value, slip.nth)
