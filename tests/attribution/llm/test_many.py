"""Many runs with any backend: order, errors, laziness, leaving early."""

import asyncio

import pytest

from agentracer.attribution import Judgement, Tracer
from agentracer.attribution.judge import LanguageModelBackend
from agentracer.errors import BackendError
from agentracer.trace import Outcome
from agentracer.verdict import Candidate

from .fakes import Fake, blames, trace_of


class ByHand:
    name, method = "by hand", "by hand"

    def attribute(self, run, *, ground_truth):
        if "poison" in run.steps[0].content:
            raise RuntimeError("boom")
        if "stranger" in run.steps[0].content:
            return Judgement(candidates=(Candidate(agent="Ghost", step=0),))
        return Judgement(candidates=(Candidate(agent=run.steps[0].agent, step=0),))


def traces(*contents):
    return [trace_of(text, id=str(i)) for i, text in enumerate(contents)]


@pytest.mark.parametrize("concurrency", [None, 3])
def test_any_backend_can_be_given_many(concurrency):
    judge = Tracer(ByHand(), concurrency=concurrency)
    results = sorted(
        judge.attribute_many(traces("a", "poison", "b", "stranger")), key=lambda one: one.index
    )
    assert [one.error is None for one in results] == [True, False, True, False]
    assert "boom" in str(results[1].error)
    assert "did not act" in str(results[3].error)


def test_in_process_models_get_batches():
    model = Fake(blames(0))
    results = list(Tracer(LanguageModelBackend(model)).attribute_many(traces(*"abcdef")))
    assert [one.verdict.step for one in results] == [0] * 6
    assert model.batches == [4, 2]
    assert [one.index for one in results] == list(range(6))


def test_a_bad_run_in_a_batch_costs_only_itself():
    def script(request):
        if "poison" in request.prompt[1].content:
            raise BackendError("boom")
        return blames(0)(request)

    results = list(
        Tracer(LanguageModelBackend(Fake(script))).attribute_many(traces("a", "poison", "b"))
    )
    assert [one.error is None for one in results] == [True, False, True]


def test_a_batch_that_fails_as_a_whole_is_taken_apart():
    class Brittle(Fake):
        def generate(self, requests):
            if any("poison" in request.prompt[1].content for request in requests):
                raise MemoryError("the batch is too large")
            return super().generate(requests)

    results = list(
        Tracer(LanguageModelBackend(Brittle(blames(0)))).attribute_many(traces("a", "poison", "b"))
    )
    assert [one.error is None for one in results] == [True, False, True]
    assert "MemoryError" in str(results[1].error)


def test_succeeded_runs_and_missing_truths_are_sorted_out_of_a_batch():
    good = trace_of("fine")
    good = good.model_copy(
        update={"observed": good.observed.model_copy(update={"outcome": Outcome(success=True)})}
    )
    bare = trace_of("bare").model_copy(update={"ground_truth": None})
    judge = Tracer(LanguageModelBackend(Fake(blames(0))), ground_truth=True)
    first, second, third = judge.attribute_many([good, bare, trace_of("a")])
    assert first.verdict.abstained
    assert "no ground truth" in str(second.error)
    assert third.verdict.step == 0


def test_runs_are_read_as_they_are_needed():
    taken = []

    def endless():
        for index in range(10_000):
            taken.append(index)
            yield trace_of("a", id=str(index))

    seen = []
    judge = Tracer(LanguageModelBackend(Fake(blames(0))))
    results = judge.attribute_many(endless(), progress=lambda *at: seen.append(at))
    for _ in range(3):
        next(results)
    results.close()
    assert len(taken) <= 4
    assert seen == [(1, None), (2, None), (3, None)]


def test_a_progress_bar_can_be_asked_for(capsys):
    judge = Tracer(LanguageModelBackend(Fake(blames(0))))
    assert len(list(judge.attribute_many(traces("a", "b"), progress=True))) == 2
    assert capsys.readouterr().out == ""


def test_many_asynchronously():
    async def main():
        judge = Tracer(LanguageModelBackend(Fake(blames(0))))
        found = []
        async for one in judge.aattribute_many(traces("a", "b", "c")):
            found.append(one.index)
            if len(found) == 2:
                break
        return found

    assert asyncio.run(main()) == [0, 1]
