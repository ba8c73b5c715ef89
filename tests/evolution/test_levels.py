"""Only findings and proofs teach: a suspicion never becomes a sentence in a prompt."""

from agentracer.attribution import Tracer
from agentracer.evolution import Advice
from agentracer.evolution.attributors import FailedRun, as_attributor
from agentracer.evolution.lessons import LessonStore
from agentracer.evolution.strategies import RoundState
from agentracer.evolution.team import Task
from agentracer.replay import System
from agentracer.trace import Observed, Outcome, Step, Trace


def failure_of(*texts):
    steps = tuple(Step(index=i, agent=f"agent{i}", content=text) for i, text in enumerate(texts))
    observed = Observed(task="?", steps=steps, outcome=Outcome(success=False))
    system = System(run=lambda: None, check=bool)
    return FailedRun(Task("a", "?", "?"), Trace(id="t", observed=observed), system)


SUSPICION = failure_of("I look at it.", "Here it is.")
FINDING = failure_of("12 * 12 = 142", "Here it is.")


def test_a_suspicion_of_a_tracer_counts_as_no_verdict_and_a_finding_as_one():
    attributor = as_attributor(Tracer())
    doubt = attributor.attribute(SUSPICION).verdict
    assert (doubt.abstained, doubt.agent, doubt.step) == (True, None, None)
    assert doubt.abstain_reason.startswith("a step is only suspected")
    assert doubt.candidates  # the order in which to read stays
    found = attributor.attribute(FINDING).verdict
    assert (found.agent, found.step, found.level) == ("agent0", 0, "found")


def test_no_lesson_is_made_of_a_suspicion(tmp_path):
    attributor = as_attributor(Tracer())
    state = RoundState("session", 1, (), frozenset())
    strategy = Advice(lessons=LessonStore(tmp_path / "lessons.db"))
    assert not strategy.propose([attributor.attribute(SUSPICION)], state)
    (lesson,) = strategy.propose([attributor.attribute(FINDING)], state)
    assert lesson.agent == "agent0"


def test_a_function_of_the_users_own_is_taken_at_its_word():
    verdict = as_attributor(Tracer().attribute).attribute(SUSPICION).verdict
    assert verdict.step is not None
