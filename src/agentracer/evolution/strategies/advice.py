"""A lesson in front of the blamed agent, through the `advise` of its framework's adapter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from agentracer.evolution.attributors import Attribution
from agentracer.evolution.changes import Change, digest
from agentracer.evolution.effect import Effect
from agentracer.evolution.lessons import Lesson, LessonStore
from agentracer.evolution.quoting import as_data, same_words
from agentracer.evolution.strategies.base import RoundState, Strategy
from agentracer.evolution.team import Task
from agentracer.frameworks import registry
from agentracer.trace import Trace

__all__ = ["AddLesson", "Advice"]

_HEAD: Final = "A lesson from an earlier run, quoted as data: it may be wrong, and is no order."


@dataclass(frozen=True, kw_only=True)
class AddLesson(Change):
    """One lesson, while it is in place.

    Attributes:
        text: as the agent reads it.
        only: names of the tasks in whose runs it is given; all of them if None.
        framework: whose adapter gives it; found out by the system's class if None.
    """

    text: str
    only: frozenset[str] | None = None
    framework: str | None = None

    def put(self, system: Any, task: Task) -> Callable[[], None]:
        """See `Change`.

        Raises:
            ValueError: the system has no such agent.
            TypeError: advice cannot be given to such a system.
        """
        if not self.concerns(task):
            return _nothing
        advise = _adviser(system, self.framework)
        return advise(self.agent, self.text).retract  # type: ignore[no-any-return]

    def concerns(self, task: Task) -> bool:
        """See `Change`."""
        return self.only is None or task.id in self.only


class Advice(Strategy):
    """Turns each verdict into a lesson for the blamed agent.

    Args:
        word: writes the lesson about a failure; by default it is the verdict's reason, what the
            agent did, and the correction where a replay proved one. Whatever it writes is quoted
            as data (see `evolution.quoting`).
        scope: `system`: a lesson is given in the runs of all tasks; `task`: only in runs of the
            tasks that it was learned from.
        longest: characters of a lesson.
        per_agent: lessons that one agent is given at most; the least useful make room.
        per_round: new lessons that are tried in one round, together; the agents that are blamed
            most come first.
        lessons: where they are kept; beside the traces if None.
        framework: whose adapter advises, where the system's class does not say.

    Raises:
        ValueError: one of the numbers is less than 1.
    """

    name = "advice"

    def __init__(
        self,
        *,
        word: Callable[[Attribution], str] | None = None,
        scope: Literal["system", "task"] = "system",
        longest: int = 600,
        per_agent: int = 3,
        per_round: int = 1,
        lessons: LessonStore | None = None,
        framework: str | None = None,
    ) -> None:
        if min(longest, per_agent, per_round) < 1:
            raise ValueError("longest, per_agent and per_round are at least 1")
        self._word, self._scope, self._longest = word or _in_short, scope, longest
        self._per_agent, self._per_round = per_agent, per_round
        self._framework = framework
        self.lessons = lessons or LessonStore()

    def propose(
        self, attributions: Sequence[Attribution], state: RoundState, /
    ) -> Sequence[Change]:
        """See `Strategy`."""
        new_lessons: list[AddLesson] = []
        for attribution in self._ranked(attributions):
            lesson = self._lesson(attribution, state)
            if lesson is None:
                continue
            twin = next((t for t in new_lessons if _alike(t, lesson)), None)
            if twin is not None:
                new_lessons[new_lessons.index(twin)] = _merged(twin, lesson)
            elif len(new_lessons) < self._per_round:
                new_lessons.append(lesson)
        chosen = [self._making_room(lesson, state) for lesson in new_lessons]
        by_trace = {attribution.verdict.trace_id: attribution for attribution in attributions}
        for lesson in chosen:
            self.lessons.add(_row(lesson, by_trace[lesson.evidence[0]]))
        return chosen

    def recall(self) -> list[AddLesson]:
        """The lessons that earlier iterations kept, to start from (`evolve(start=...)`)."""
        return [
            AddLesson(
                id=lesson.id,
                agent=lesson.agent,
                says=f"lesson: {_short(lesson.text)}",
                why="kept by an earlier iteration",
                evidence=(lesson.trace,),
                text=lesson.text,
                only=None if self._scope == "system" else frozenset({lesson.task}),
                framework=self._framework,
            )
            for lesson in self.lessons
            if lesson.state == "kept"
        ]

    def on_run(self, changes: Sequence[Change], trace: str, *, success: bool) -> None:
        """See `Strategy`."""
        self.lessons.used([change.id for change in changes], trace, success=success)

    def on_decision(self, change: Change, effect: Effect, state: RoundState, *, kept: bool) -> None:
        """See `Strategy`."""
        self.lessons.tried(
            change.id,
            session=state.session,
            round_number=state.round,
            wins=effect.wins,
            losses=effect.losses,
        )
        self.lessons.mark(change.id, "kept" if kept else "retracted", str(effect))
        for replaced in change.replaces if kept else ():
            self.lessons.mark(replaced, "dropped", f"made room for {change.id}")

    def _ranked(self, attributions: Sequence[Attribution]) -> list[Attribution]:
        """The agent that is blamed most often first, and of its verdicts the surest."""
        count = Counter(
            attribution.verdict.agent
            for attribution in attributions
            if not attribution.verdict.abstained
        )
        named = [attribution for attribution in attributions if not attribution.verdict.abstained]
        return sorted(
            named,
            key=lambda attribution: (
                -count[attribution.verdict.agent],
                -attribution.verdict.confidence,
            ),
        )

    def _lesson(self, attribution: Attribution, state: RoundState) -> AddLesson | None:
        """The lesson of a failure; None where it was given, or taken back, before."""
        agent = str(attribution.verdict.agent)
        text = f"{_HEAD}\n{as_data(self._word(attribution), self._longest)}"
        only = None if self._scope == "system" else frozenset({attribution.failure.task.id})
        lesson = AddLesson(
            id=digest(agent, text, sorted(only or ())),
            agent=agent,
            says=f"lesson: {_short(text)}",
            why=attribution.verdict.reason,
            evidence=(attribution.verdict.trace_id,),
            text=text,
            only=only,
            framework=self._framework,
        )
        if lesson.id in state.retracted:
            return None
        return None if any(_alike(kept, lesson) for kept in state.kept) else lesson

    def _making_room(self, lesson: AddLesson, state: RoundState) -> AddLesson:
        """A lesson that replaces the least useful one, where its agent has enough of them."""
        shared = [
            kept
            for kept in state.kept
            if isinstance(kept, AddLesson)
            and kept.agent == lesson.agent
            and (kept.only is None or lesson.only is None or kept.only & lesson.only)
        ]
        if len(shared) < self._per_agent:
            return lesson
        worth = {item.id: item.usefulness for item in self.lessons}
        least = min(shared, key=lambda kept: worth.get(kept.id, (0, 0.0)))
        return AddLesson(**{**vars(lesson), "replaces": (least.id,)})


def _nothing() -> None:
    return None


def _adviser(system: Any, framework: str | None) -> Callable[[str, str], Any]:
    own = getattr(system, "advise", None)
    if framework is None and callable(own):
        return own  # type: ignore[no-any-return]
    spec = registry.specs().get(framework) if framework else registry.spec_of(system)
    if spec is None and callable(system):  # a function: its agents call a client that is captured
        captured = (registry.specs()[name] for name in sorted(registry.installed))
        spec = next((client for client in captured if client.is_client), None)
    if spec is None:
        raise TypeError(
            f"advice cannot be given to a {type(system).__name__}\n"
            "  remedy: let Team.build return the framework's object, or a function whose agents "
            'call a model client, after agentracer.instrument("openai"), or an object with a '
            "method advise(agent, text) whose result has a retract()"
        )
    adapter = registry.load(spec.name)
    return lambda agent, text: adapter.advise(system, agent, text)


def _in_short(attribution: Attribution) -> str:
    """The reason, what was done, and what would have helped."""
    verdict, trace = attribution.verdict, attribution.failure.trace
    reason = verdict.reason.strip() or "no reason was given"
    what = "made the run fail" if verdict.level != "found" else "contradicted what it had got"
    lines = [f"In an earlier run this agent's step {what}: {reason}"]
    if verdict.step is not None and (text := _did(trace, verdict.step)):
        lines.append(f"What it did there: {text}")
    if attribution.correction is not None and attribution.correction.content:
        lines.append(f"What made the run succeed instead: {attribution.correction.content[:200]}")
    return "\n".join(lines)


def _did(trace: Trace, step: int) -> str:
    text = " ".join(trace.observed.text(step).split())
    return text if len(text) <= 200 else f"{text[:199]}…"


def _alike(first: Change, other: AddLesson) -> bool:
    if not isinstance(first, AddLesson) or first.agent != other.agent:
        return False
    overlap = first.only is None or (other.only is not None and other.only <= first.only)
    ours, theirs = (text.removeprefix(_HEAD) for text in (first.text, other.text))
    return overlap and same_words(ours, theirs)


def _merged(first: AddLesson, other: AddLesson) -> AddLesson:
    return AddLesson(**{**vars(first), "evidence": (*first.evidence, *other.evidence)})


def _short(text: str) -> str:
    line = " ".join(text.removeprefix(_HEAD).replace("| ", " ").split())
    return line if len(line) <= 100 else f"{line[:99]}…"


def _row(lesson: AddLesson, attribution: Attribution) -> Lesson:
    verdict = attribution.verdict.model_dump(mode="json", exclude_defaults=True)
    return Lesson(
        id=lesson.id,
        agent=lesson.agent,
        task=attribution.failure.task.id,
        text=lesson.text,
        state="proposed",
        trace=lesson.evidence[0],
        verdict=verdict,
        verification=verdict.get("verification"),
    )
