"""An iteration that is killed goes on where it was: no finished run again, no lesson lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentracer import evolution
from agentracer.errors import CollectionMismatch
from agentracer.evolution import Advice, LessonStore, Team, TrueStep
from agentracer.evolution.journal import EvolutionJournal
from agentracer.store import Store
from tests.evolution.worlds import Advised

ROOT = Path(__file__).parents[2]
TASKS = [f"{'x' * (3 + number % 4)}{number}" for number in range(8)]
CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.evolution.test_resume import iterate
iterate(pause=0.05)
"""


def by_length(task, result):
    return result == len(task)


def solver(trace):
    return 1


def iterate(pause=0.0, runs=None):
    system, runs = Advised(), runs if runs is not None else []

    def run(advised, task):
        time.sleep(pause)
        runs.append(task)
        return advised.run(task)

    team = Team(run=run, build=lambda: system)
    return evolution.evolve(
        team, TASKS, by_length, TrueStep(solver), rounds=2, session="killed",
        strategy=Advice(word=lambda one: "guess" if one.failure.round == 1 else "carry"),
    )  # fmt: skip


def journal():
    return Store().home / "evolution" / "killed.jsonl"


def finished(kind=None):
    if not journal().exists():
        return 0
    lines = [json.loads(line) for line in journal().read_text().splitlines() if line.endswith("}")]
    return sum(line["e"] in ("run", "blame") for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("after", [3, 8, 13, 29, 45], ids=lambda n: f"{n} results")
def test_after_sigkill_no_finished_run_is_made_again_and_no_lesson_is_lost(home, after):
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(ROOT)], env={**os.environ})
    deadline = time.monotonic() + 100
    while finished() < after and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = finished()
    known = {lesson.id: lesson.text for lesson in LessonStore()}
    assert done >= after
    runs = []
    report = iterate(runs=runs)
    assert report.resumed == done
    lines = [json.loads(line) for line in journal().read_text().splitlines()]
    keys = [line["key"] for line in lines if line["e"] == "run"]
    assert len(keys) == len(set(keys)) == report.cost.runs
    assert len(runs) == report.cost.runs - sum(line["e"] == "run" for line in _first(lines, done))
    now = {lesson.id: lesson for lesson in LessonStore()}
    assert known.items() <= {identity: one.text for identity, one in now.items()}.items()
    states = {
        one.text.rpartition(" ")[2]: (one.state, one.wins, one.losses) for one in now.values()
    }
    assert states == {"guess": ("retracted", 0, 4), "carry": ("kept", 4, 0)}


def _first(lines, count):
    return [line for line in lines if line["e"] in ("run", "blame")][:count]


def test_an_interrupted_iteration_gives_the_same_report(home):
    whole = iterate().to_json()
    lines = journal().read_text().splitlines()
    for cut in (4, 12, 25, len(lines) - 1):
        journal().write_text("\n".join(lines[:cut]) + "\n")
        again = iterate().to_json()
        assert again.pop("resumed") == sum(
            '"e":"run"' in x or '"e":"blame"' in x for x in lines[:cut]
        )
        assert _undated(again) == _undated({k: v for k, v in whole.items() if k != "resumed"})


def _undated(report):
    """The report without the ids of traces, which differ from run to run."""
    for one in report["rounds"]:
        for change in one["changes"]:
            change.pop("evidence", None)
    return report


def test_a_torn_last_line_costs_one_run(home):
    iterate()
    lines = journal().read_text().splitlines()
    journal().write_text("\n".join(lines[:6]) + '\n{"e":"run","key":"' + "x" * 10)
    assert iterate().resumed == 4


def test_a_finished_iteration_is_begun_anew(home):
    iterate()
    runs = []
    report = iterate(runs=runs)
    assert (report.resumed, len(runs)) == (0, report.cost.runs)


def test_two_processes_cannot_work_on_one_iteration(home, tmp_path):
    path = tmp_path / "one.jsonl"
    with (
        EvolutionJournal(path, {}, []),
        pytest.raises(CollectionMismatch, match="another process"),
        EvolutionJournal(path, {}, []),
    ):
        pass


def test_a_run_notes_a_lesson_once_however_often_it_is_resumed(home):
    iterate()
    used = {lesson.id: lesson.used for lesson in LessonStore()}
    lines = journal().read_text().splitlines()
    journal().write_text("\n".join(lines[:-1]) + "\n")
    iterate()
    assert {lesson.id: lesson.used for lesson in LessonStore()} == used
