"""What cannot be replayed, or is no ranking, strategy or override, is refused with the remedy."""

from __future__ import annotations

import asyncio

import pytest

from agentracer.errors import InvalidSystem
from agentracer.replay import Override, System, afind_decisive, find_decisive, rerun, verify
from agentracer.verdict import Candidate, Provenance, Verdict
from tests.replay.miniature import record
from tests.replay.test_find_decisive import Planted, is_good


@pytest.fixture
def world():
    return Planted(["fixed", "bad", "ok", "ok"])


@pytest.fixture
def trace(world):
    return record(world.team(), is_good)


def broken():
    raise ImportError("no module named team")


def blamed(trace):
    return Verdict(
        trace_id=trace.id,
        agent=trace.steps[1].agent,
        step=1,
        provenance=Provenance(model="test", method="test"),
    )


@pytest.mark.parametrize("deterministic", [True, False, None])
def test_a_run_that_always_raises_is_an_error_and_no_verdict(world, trace, deterministic):
    system = System(run=broken, check=is_good, deterministic=deterministic)
    with pytest.raises(InvalidSystem, match=r"(?s)System.run raised ImportError.*remedy"):
        find_decisive(trace, system, world.correct)
    with pytest.raises(InvalidSystem, match="ImportError: no module named team"):
        verify(trace, blamed(trace), system, world.correct)


@pytest.mark.parametrize("deterministic", [True, None])
def test_a_check_that_raises_is_an_error_and_no_verdict(world, trace, deterministic):
    def check(result):
        raise KeyError("answer")

    system = System(run=world.team().run, check=check, deterministic=deterministic)
    with pytest.raises(InvalidSystem, match=r"(?s)System.check raised KeyError.*remedy"):
        find_decisive(trace, system, world.correct)


def test_an_async_run_is_refused_by_the_blocking_functions(world, trace):
    async def run():
        return world.team().run()

    with pytest.raises(InvalidSystem, match=r"(?s)run is async.*afind_decisive"):
        find_decisive(trace, System(run=run, check=is_good), world.correct)
    with pytest.raises(InvalidSystem, match=r"(?s)run is async.*arerun"):
        rerun(trace, run)


def test_a_blocking_run_is_refused_by_the_async_functions(world, trace):
    system = System(run=world.team().run, check=is_good)
    with pytest.raises(InvalidSystem, match=r"(?s)run is not async.*find_decisive"):
        asyncio.run(afind_decisive(trace, system, world.correct))


def test_candidates_of_a_verdict_are_a_ranking(world, trace):
    candidates = [Candidate(agent="a", step=2), Candidate(agent="a", step=1)]
    search = find_decisive(
        trace, world.system(), world.correct, strategy="ranked", ranking=candidates
    )
    by_step = find_decisive(
        trace, world.system(), world.correct, strategy="ranked", ranking=[2, 1], resume=False
    )
    assert search.verdict.step == by_step.verdict.step
    assert search.usage.replays == by_step.usage.replays


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "rank"}, "strategy 'rank' is none of sequential, ranked, bisect"),
        ({"earliest": "all"}, "earliest 'all' is none of together, each"),
        ({"ranking": ["first"]}, "the ranking holds str"),
        ({"ranking": [9]}, "the ranking names step 9"),
    ],
)
def test_what_is_no_option_is_named(world, trace, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        find_decisive(trace, world.system(), world.correct, **options)


def test_an_override_of_no_step_or_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no step -1"):
        Override(step=-1, content="x")
    with pytest.raises(ValueError, match="an override changes something"):
        Override(step=0)
