"""A search that is killed goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentracer.replay import find_decisive
from agentracer.store import Store
from tests.replay.miniature import Planted, is_good, record

WORDS = ["slip"] * 6 + ["fixed"] + ["bad", "ok"]

SLOW_SEARCH = f"""
import sys, time
sys.path.insert(0, sys.argv[2])
from agentracer.replay import System, find_decisive
from agentracer.store import Store
from tests.replay.miniature import Planted, is_good
world = Planted({WORDS!r})
team = world.team()
def run():
    time.sleep(0.15)
    return team.run()
trace = Store().load(sys.argv[1])
system = System(run=run, check=is_good)
find_decisive(trace, system, world.correct)
"""


def journal_of(trace):
    return Store().home / "replays" / f"{trace.id}.jsonl"


def events(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def finished(path):
    if not path.exists():
        return 0
    return path.read_bytes().count(b'"e":"replay"')


@pytest.mark.slow
def test_after_sigkill_no_finished_replay_is_done_again(home):
    world = Planted(WORDS)
    trace = record(world.team(), is_good)
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_SEARCH, trace.id, root], env={**os.environ}
    )
    path, deadline = journal_of(trace), time.monotonic() + 30
    while finished(path) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = finished(path)
    assert 3 <= done < 15
    search = find_decisive(trace, world.system(), world.correct)
    assert search.verdict.step == 7
    assert search.usage.resumed == done
    uninterrupted = find_decisive(trace, world.system(), world.correct)
    assert uninterrupted.usage.resumed == 0
    assert uninterrupted.usage.replays == search.usage.replays + done
    assert uninterrupted.verdict.reason == search.verdict.reason
    proofs = {step: (p.status, p.flips, p.replays) for step, p in uninterrupted.proofs.items()}
    assert proofs == {s: (p.status, p.flips, p.replays) for s, p in search.proofs.items()}


def test_a_torn_last_line_costs_one_replay():
    world = Planted(WORDS)
    trace = record(world.team(), is_good)
    system = world.system(deterministic=True)
    find_decisive(trace, system, world.correct)
    path = journal_of(trace)
    lines = path.read_text().splitlines()
    keep = [i for i, line in enumerate(lines) if '"e":"replay"' in line][3]
    path.write_text("\n".join(lines[:keep]) + "\n" + lines[keep][: len(lines[keep]) // 2])
    search = find_decisive(trace, system, world.correct)
    assert search.verdict.step == 7
    assert search.usage.resumed == 3


def test_other_settings_and_resume_false_begin_anew():
    from agentracer.replay import Budget

    world = Planted(WORDS)
    trace = record(world.team(), is_good)
    system = world.system(deterministic=True)
    find_decisive(trace, system, world.correct, budget=Budget(runs=2))
    other = find_decisive(trace, system, world.correct, strategy="bisect")
    assert other.usage.resumed == 0
    find_decisive(trace, system, world.correct, budget=Budget(runs=2))
    afresh = find_decisive(trace, system, world.correct, resume=False)
    assert afresh.usage.resumed == 0


def test_the_oracle_is_not_asked_again():
    from agentracer.replay import Budget

    world = Planted(WORDS)
    trace = record(world.team(), is_good)
    asked = []

    def oracle(trace, step):
        asked.append(step)
        return world.correct(trace, step)

    system = world.system(deterministic=True)
    find_decisive(trace, system, oracle, budget=Budget(runs=3))
    first = list(asked)
    asked.clear()
    find_decisive(trace, system, oracle)
    assert set(first) & set(asked) == set()
    kinds = [event["e"] for event in events(journal_of(trace))]
    assert kinds[0] == "begin"
    assert kinds.count("begin") == 1
    assert kinds[-1] == "end"
