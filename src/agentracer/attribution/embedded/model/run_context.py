"""One run as a whole: what its steps are to each other, before `features` turns it into numbers."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from agentracer.attribution.embedded.checks import check_run
from agentracer.attribution.embedded.kinds import FindingKind
from agentracer.attribution.embedded.rule_list import Rule, rank_by_rules
from agentracer.attribution.embedded.text.signals import Signals
from agentracer.attribution.embedded.text.step_facts import RunFacts, read_run
from agentracer.trace import Observed, Step

__all__ = ["Role", "RunContext"]

_REACTION_STEPS = 3  # after a step, in which others may react to it
_PASSED_ON = 0.8  # share of its weight that a step passes on to those whose facts it uses


class Role(StrEnum):
    """What a step is in its run."""

    WORKER = "worker"
    INSTRUCTION = "instruction"  # a manager addresses another agent
    DELIBERATION = "deliberation"  # a manager addresses no agent
    BRIEFING = "briefing"  # the first step, if it repeats the task
    EXECUTOR = "executor"
    USER = "user"


class RunContext:
    """One run, looked at as a whole. Linear in its text.

    Attributes:
        run: the run itself.
        signals: roles of its agents, and failures.
        facts: what each step says.
        findings: what the checks found in each step.
        roles: what each step is.
        managed: whether some agents delegate work to others.
        rule: of the rule list that applies; None in a run without steps.
        longest: size of the longest step.
        failed: steps at which something broke.
        unrecovered: steps with a failed call after which no call like it succeeded.
        turns: of each step, its number among the steps of its role and among its agent's.
        worker_steps: number of steps of workers.
        agent_turns: number of steps of each agent.
        dependence: how much of the conclusion depends on each step through its facts.
        users: how many later steps use the facts of each step.
        reactions: words of failure or correction with which others react to each step.
        failures_before: failures before each step.
        first_findings: kind of finding -> the first step with one.
    """

    def __init__(self, run: Observed) -> None:
        self.run, self.signals = run, Signals(run)
        self.facts: RunFacts = read_run(self.signals)
        self.findings = check_run(self.signals, self.facts)
        self.managed = bool(self.signals.managers)
        self.roles = [self._role(step) for step in run.steps]
        self.longest = max((step.size for step in self.facts.steps), default=1)
        self.failed = frozenset(self.signals.failures)
        self.unrecovered = frozenset(self.signals.unrecovered_calls)
        self.turns = self._turn_numbers()
        self.worker_steps = sum(role is Role.WORKER for role in self.roles)
        self.agent_turns = Counter(step.agent for step in run.steps)
        self.dependence, self.users = self._dependence()
        self.reactions = self._reactions()
        self.failures_before = self._failures_before()
        self.first_findings = self._first_findings()
        self.rule: Rule | None = None
        order: list[int] = []
        if run.steps:
            self.rule, order = rank_by_rules(self.signals)
        self._rule_ranks = {index: rank for rank, index in enumerate(order, start=1)}

    def __len__(self) -> int:
        return len(self.run.steps)

    def rule_rank(self, index: int) -> int:
        """The rank that the rule list gives a step, from 1."""
        return self._rule_ranks[index]

    def own_turn(self, index: int) -> int:
        """Which turn of its agent a step is, from 1."""
        return self.turns[index][1]

    def failure_after(self, index: int) -> int | None:
        """The step at which what a step wrote failed; None if it did not."""
        after = index if index in self.failed else index + 1
        return after if after in self.failed else None

    def _role(self, step: Step) -> Role:
        if step.index == self.signals.briefing:
            return Role.BRIEFING
        if step.agent in self.signals.users:
            return Role.USER
        if step.agent in self.signals.executors or step.kind == "tool":
            return Role.EXECUTOR
        if step.agent in self.signals.managers:
            return Role.INSTRUCTION if step.to is not None else Role.DELIBERATION
        return Role.WORKER

    def _turn_numbers(self) -> list[tuple[int, int]]:
        by_role: dict[Role, int] = {}
        by_agent: dict[str, int] = {}
        turns = []
        for step, role in zip(self.run.steps, self.roles, strict=True):
            by_role[role] = by_role.get(role, 0) + 1
            by_agent[step.agent] = by_agent.get(step.agent, 0) + 1
            turns.append((by_role[role], by_agent[step.agent]))
        return turns

    def _dependence(self) -> tuple[list[float], list[int]]:
        """How much of the conclusion depends on each step, and how many steps use its facts."""
        weight, users = [0.0] * len(self), [0] * len(self)
        if len(self):
            end = self.facts.conclusion_step
            weight[len(self) - 1 if end is None else end] = 1.0
        for index in range(len(self) - 1, -1, -1):
            uses = self.facts.steps[index].uses
            total = sum(uses.values())
            for source, number in uses.items():
                weight[source] += _PASSED_ON * weight[index] * number / total
                users[source] += 1
        return weight, users

    def _reactions(self) -> list[int]:
        """The most words of failure or correction in one of the next few steps of others."""
        words = [
            0 if step.from_outside else step.word_counts["corrects"] + step.word_counts["fails"]
            for step in self.facts.steps
        ]
        steps = self.run.steps
        return [
            max(
                (
                    words[later]
                    for later in range(
                        step.index + 1, min(step.index + 1 + _REACTION_STEPS, len(self))
                    )
                    if steps[later].agent != step.agent
                ),
                default=0,
            )
            for step in steps
        ]

    def _failures_before(self) -> list[int]:
        count, before = 0, []
        for index in range(len(self)):
            before.append(count)
            count += index in self.failed
        return before

    def _first_findings(self) -> dict[FindingKind, int]:
        first: dict[FindingKind, int] = {}
        for index, findings in enumerate(self.findings):
            for kind in findings:
                if kind.marks_first:
                    first.setdefault(kind, index)
        return first
