"""Draws of a run that is recorded exactly are given back while its prefix is replayed."""

from __future__ import annotations

import random
import threading
import time
import types
import uuid

import agentracer
from agentracer.adapters.functions import act
from agentracer.nondeterminism import exact_draws, unreached_names
from agentracer.replay import Override, rerun
from agentracer.store import Store

ORIGINALS = (time.time, random.random, random.choice, random.shuffle, uuid.uuid4, uuid.uuid1)


def functions():
    return (time.time, random.random, random.choice, random.shuffle, uuid.uuid4, uuid.uuid1)


def drawn():
    cards = list(range(20))
    random.shuffle(cards)
    return [
        *(time.time(), random.random(), random.choice("abcdefgh"), random.randint(0, 10**6)),
        *(random.gauss(0.0, 1.0), str(uuid.uuid4()), str(uuid.uuid1()), cards),
    ]


def system(log):
    """Three agents, each of which is asked with what was drawn before it."""

    def run():
        for name in ("first", "second", "third"):
            log.append(drawn())
            act(name, lambda words: words, log[-1])
        return "done"

    return run


def recorded(tmp_path, *, exact=True):
    log = []
    with agentracer.record("x", store=Store(tmp_path), exact=exact) as run:
        run.result = system(log)()
    return run.trace, log


def test_the_prefix_draws_the_same_and_what_comes_after_draws_anew(tmp_path):
    trace, before = recorded(tmp_path)
    after = []
    again = rerun(trace, system(after), keep=2, store=Store(tmp_path))
    assert after[:2] == before[:2]
    assert all(a != b for a, b in zip(after[2], before[2], strict=True))
    receipt = again.metadata["replay"]["receipt"]
    assert (receipt["calls"], receipt["identical"], receipt["different"]) == (2, 2, [])
    assert receipt["draws"] > 16
    assert receipt["draws_without_record"] == 0


def test_an_override_has_its_prefix_too(tmp_path):
    trace, before = recorded(tmp_path)
    after = []
    rerun(
        trace, system(after), override=Override(step=1, call=0, result="x"), store=Store(tmp_path)
    )
    assert after[:2] == before[:2]
    assert after[2] != before[2]


def test_without_the_option_nothing_is_replaced_and_the_receipt_names_the_calls(tmp_path):
    trace, before = recorded(tmp_path, exact=False)
    assert "exact" not in trace.metadata
    after = []
    again = rerun(trace, system(after), keep=2, store=Store(tmp_path))
    assert after[0] != before[0]
    receipt = again.metadata["replay"]["receipt"]
    assert receipt["calls"] == 2
    assert receipt["identical"] == 0
    assert [call["step"] for call in receipt["different"]] == [0, 1]


def test_the_functions_are_put_back(tmp_path):
    recorded(tmp_path)
    assert functions() == ORIGINALS
    try:
        with agentracer.record("x", store=Store(tmp_path), exact=True):
            assert time.time is not ORIGINALS[0]
            raise KeyError("the program fails")
    except KeyError:
        pass
    assert functions() == ORIGINALS


def test_the_shared_generator_goes_on_as_without_recording(tmp_path):
    random.seed(7)
    plain = [random.random(), random.randint(0, 99), random.choice("abc"), random.random()]
    random.seed(7)
    with agentracer.record("x", store=Store(tmp_path), exact=True):
        recorded_draws = [random.random(), random.randint(0, 99), random.choice("abc")]
    assert [*recorded_draws, random.random()] == plain


def test_other_threads_see_real_values(tmp_path):
    trace, before = recorded(tmp_path)
    seen = []

    def run():
        other = threading.Thread(target=lambda: seen.append(random.random()))
        other.start()
        other.join()
        return system([])()

    rerun(trace, run, keep=3, store=Store(tmp_path), on_divergence="report")
    assert seen[0] not in [draws[1] for draws in before]


def test_clients_of_servers_are_not_covered(tmp_path):
    client = types.ModuleType("httpx.fake")
    exec("import time\ndef send():\n    return time.time()", client.__dict__)
    with agentracer.record("x", store=Store(tmp_path), exact=True) as run:
        client.send()
        time.time()
    sites = run.trace.metadata["exact"]["draws"]
    assert len(sites) == 1
    assert "httpx" not in next(iter(sites))


def test_a_name_bound_by_from_import_is_listed(monkeypatch):
    module = types.ModuleType("own_app")
    module.now = time.time
    monkeypatch.setitem(__import__("sys").modules, "own_app", module)
    with exact_draws(lambda: None):
        assert "own_app.now" in unreached_names()
