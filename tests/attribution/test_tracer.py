"""The Tracer: what it hands to a backend, when it abstains, and what it refuses."""

import asyncio
import threading
import types
from pathlib import Path
from typing import ClassVar

import pytest

from agentracer.attribution import Backend, Judgement, SupportsAttribute, Tracer
from agentracer.errors import BackendError, FormatError, MissingExtra
from agentracer.trace import GroundTruth, Label, Observed, Outcome, Step, Trace
from agentracer.usage import Usage
from agentracer.verdict import Candidate, Evidence

RUN = Observed(
    task="What is 6 times 9?",
    steps=(
        Step(index=0, agent="planner", content="Ask the solver."),
        Step(index=1, agent="solver", content="It is 42."),
    ),
    outcome=Outcome(success=False, answer="42"),
)
TRACE = Trace(
    id="t",
    observed=RUN,
    ground_truth=GroundTruth(answer="54"),
    labels=(Label(agent="solver", step=1, reason="secret"),),
)


class Fixed:
    """Answers with what it was given and remembers what it saw."""

    name = "fixed"
    method = "by hand"

    def __init__(self, *candidates, **fields):
        self.judgement = Judgement(candidates=candidates, **fields)
        self.seen = []

    def attribute(self, run, *, ground_truth):
        self.seen.append((run, ground_truth))
        return self.judgement


def blames(agent, step, **fields):
    return Candidate(agent=agent, step=step, **fields)


def test_a_verdict_names_the_first_candidate():
    backend = Fixed(blames("solver", 1, reason="wrong sum"), blames("planner", 0), confidence=0.5)
    verdict = Tracer(backend).attribute(TRACE)
    assert (verdict.agent, verdict.step, verdict.confidence) == ("solver", 1, 0.5)
    assert verdict.reason == "wrong sum"
    assert verdict.trace_id == "t"
    assert not verdict.abstained


def test_the_agent_may_come_from_a_sum_over_its_steps():
    backend = Fixed(blames("solver", 1), agent="planner", agents={"planner": 0.7})
    assert Tracer(backend).attribute(TRACE).agent == "planner"


def test_a_backend_sees_the_observed_run_and_nothing_else():
    backend = Fixed(blames("solver", 1))
    Tracer(backend).attribute(TRACE)
    assert backend.seen == [(RUN, None)]
    assert isinstance(backend.seen[0][0], Observed)


def test_a_backend_sees_the_ground_truth_only_when_asked_for():
    backend = Fixed(blames("solver", 1))
    verdict = Tracer(backend, ground_truth=True).attribute(TRACE)
    assert backend.seen == [(RUN, TRACE.ground_truth)]
    assert verdict.provenance.ground_truth


def test_asking_for_a_ground_truth_that_a_trace_lacks_is_an_error():
    bare = TRACE.model_copy(update={"ground_truth": None})
    with pytest.raises(FormatError, match="no ground truth") as caught:
        Tracer(Fixed(blames("solver", 1)), ground_truth=True).attribute(bare)
    assert "ground_truth=False" in caught.value.remedy


def test_provenance_tells_how_the_verdict_came_about():
    backend = Fixed(
        blames("solver", 1), versions={"weights": "abc"}, usage=Usage(model_calls=2, input_tokens=9)
    )
    provenance = Tracer(backend).attribute(TRACE).provenance
    assert (provenance.model, provenance.method) == ("fixed", "by hand")
    assert provenance.versions["weights"] == "abc"
    assert "agentracer" in provenance.versions
    assert (provenance.usage.model_calls, provenance.usage.input_tokens) == (2, 9)
    assert provenance.usage.seconds > 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"outcome": Outcome(success=True)}, "the run succeeded"), ({"steps": ()}, "no steps")],
)
def test_where_there_is_nothing_to_attribute_nobody_is_asked_or_blamed(change, reason):
    backend = Fixed(blames("solver", 1))
    trace = TRACE.model_copy(update={"observed": RUN.model_copy(update=change)})
    verdict = Tracer(backend).attribute(trace)
    assert backend.seen == []
    assert verdict.abstained
    assert verdict.agent is verdict.step is None
    assert reason in verdict.abstain_reason


def test_a_backend_may_abstain():
    verdict = Tracer(Fixed(abstain_reason="too long")).attribute(TRACE)
    assert verdict.abstained
    assert verdict.abstain_reason == "too long"


def test_a_backend_that_abstains_may_keep_its_shortlist():
    unsure = Fixed(blames("solver", 1), abstain_reason="unsure", likely_steps=(1, 0), coverage=0.9)
    verdict = Tracer(unsure).attribute(TRACE)
    assert (verdict.agent, verdict.step) == (None, None)
    assert [candidate.step for candidate in verdict.candidates] == [1]
    assert verdict.likely_steps == (1, 0)
    assert verdict.coverage == 0.9


def test_the_shortlist_has_at_most_top_k_candidates():
    backend = Fixed(blames("solver", 1), blames("planner", 0))
    assert len(Tracer(backend, top_k=1).attribute(TRACE).candidates) == 1
    with pytest.raises(ValueError, match="top_k"):
        Tracer(backend, top_k=0)


BROKEN = {
    "an agent that did not act": Fixed(blames("ghost", 1)),
    "a step that does not exist": Fixed(blames("solver", 2)),
    "nothing, without a reason": Fixed(),
    "a likely step that does not exist": Fixed(blames("solver", 1), likely_steps=(1, 9)),
    "one candidate twice": Fixed(blames("solver", 1), blames("solver", 1)),
    "a share for a stranger": Fixed(blames("solver", 1), agents={"ghost": 0.1}),
    "shares above one": Fixed(blames("solver", 1), agents={"solver": 0.9, "planner": 0.9}),
    "a sum that is a stranger": Fixed(blames("solver", 1), agent="ghost"),
    "evidence of no step": Fixed(
        blames("solver", 1, evidence=(Evidence(step=7, says="look"),)),
    ),
    "a made-up quote": Fixed(
        blames("solver", 1, evidence=(Evidence(step=1, says="look", quote="It is 54."),)),
    ),
    "a confidence above one": Fixed(blames("solver", 1), confidence=1.5),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_backend_that_breaks_its_contract_is_refused(case):
    with pytest.raises(BackendError, match="fixed"):
        Tracer(BROKEN[case]).attribute(TRACE)


def test_a_backend_that_raises_is_a_backend_error_with_its_cause():
    backend = Fixed()
    backend.attribute = lambda run, *, ground_truth: 1 / 0
    with pytest.raises(BackendError, match="ZeroDivisionError") as caught:
        Tracer(backend).attribute(TRACE)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_our_own_errors_pass_through_a_backend_unchanged():
    def attribute(run, *, ground_truth):
        raise MissingExtra("vllm", needed_for="vllm models")

    backend = Fixed()
    backend.attribute = attribute
    with pytest.raises(MissingExtra):
        Tracer(backend).attribute(TRACE)


def test_async_attribution_leaves_the_event_loop_free():
    backend = Fixed(blames("solver", 1))
    threads = []
    judge = backend.attribute

    def attribute(run, *, ground_truth):
        threads.append(threading.current_thread())
        return judge(run, ground_truth=ground_truth)

    backend.attribute = attribute
    verdict = asyncio.run(Tracer(backend).aattribute(TRACE))
    assert verdict.agent == "solver"
    assert threads[0] is not threading.main_thread()


def test_any_object_with_the_right_shape_is_a_backend():
    assert isinstance(Fixed(), SupportsAttribute)
    assert not isinstance(Fixed(), Backend)
    assert Tracer(Fixed(blames("solver", 1))).attribute(TRACE).step == 1


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ("traces/1.json", "load_any"),
        (Path("traces/1.json"), "load_any"),
        (types.SimpleNamespace(trace=TRACE), r"attribute\(run\.trace\)"),
        ([TRACE], "attribute_many"),
        ({"id": "t"}, r"agentracer\.Trace"),
        (None, r"agentracer\.Trace"),
    ],
)
def test_attributing_something_else_than_a_trace_is_a_type_error_with_a_remedy(wrong, remedy):
    tracer = Tracer(Fixed(blames("solver", 1)))
    with pytest.raises(TypeError, match=rf"attributes a Trace, not .*\n  remedy: .*{remedy}"):
        tracer.attribute(wrong)


@pytest.mark.parametrize("wrong", [TRACE, "traces", 3])
def test_many_runs_are_an_iterable_of_traces(wrong):
    with pytest.raises(TypeError, match="needs an iterable of Trace"):
        Tracer(Fixed(blames("solver", 1))).attribute_many(wrong)
    with pytest.raises(TypeError, match="attributes a Trace, not int"):
        list(Tracer(Fixed(blames("solver", 1))).attribute_many([TRACE, 3]))


@pytest.mark.parametrize("wrong", [Fixed, object(), None])
def test_what_is_no_backend_is_refused(wrong):
    with pytest.raises(TypeError, match="is not an attribution backend"):
        Tracer(wrong)


def test_the_base_class_gives_a_backend_everything_but_its_judgement():
    class Own(Backend):
        name, method = "own", "by hand"

        def attribute(self, run, *, ground_truth):
            if run.steps[0].content == "boom":
                raise RuntimeError("it is broken")
            return Judgement(candidates=(blames("solver", 1),))

    steps = tuple(Step(index=index, agent="planner", content="boom") for index in range(2))
    failing = RUN.model_copy(update={"steps": steps})
    tracer = Tracer(Own(), concurrency=2, seed=3)
    verdict, error = tracer.attribute_batch([TRACE, Trace(id="u", observed=failing)])
    assert verdict.step == 1
    assert "RuntimeError: it is broken" in str(error)
    with pytest.raises(ValueError, match="has no option samples"):
        Tracer(Own(), samples=3)


class Duck(Fixed):
    """A backend of 0.1.0, when there was no class to inherit from."""

    batch = 2
    remote = False
    trained_ids = ("seen",)
    options: ClassVar[dict] = {}

    def attribute_batch(self, items):
        self.seen.append(len(items))
        return [self.judgement for _ in items]

    def configured(self, **options):
        other = Duck(*self.judgement.candidates)
        other.options = options
        return other

    def undefended(self):
        return Fixed(blames("planner", 0))


def test_optional_members_of_a_backend_that_does_not_inherit_are_used_with_a_warning():
    duck = Duck(blames("solver", 1))
    with pytest.warns(DeprecationWarning, match=r"\(Duck\)[^\n]*\n.* configured to with_options"):
        tracer = Tracer(duck)
    with pytest.warns(DeprecationWarning, match="undefended to without_defenses"):
        assert Tracer(duck, samples=3).backend.wrapped.options == {"samples": 3}
    assert [one.verdict.step for one in tracer.attribute_many([TRACE] * 5)] == [1] * 5
    assert duck.seen[:2] == [2, 2]
    assert tracer.backend.trained_ids == {"seen"}
    assert Tracer(tracer.backend.without_defenses()).attribute(TRACE).step == 0


def test_a_backend_that_has_only_what_is_required_causes_no_warning(recwarn):
    tracer = Tracer(Fixed(blames("solver", 1)))
    assert not recwarn.list
    assert tracer.backend.without_defenses() is None
    assert not tracer.backend.batches_in_process
