"""The command line on runs of thousands of steps."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import agentracer
from agentracer.cli import cli
from agentracer.store import Store

STEPS = 5_001  # the first number of which each step is one line of JSON


@pytest.fixture(scope="module")
def store_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTRACER_HOME", str(folder))
        with agentracer.record("long") as run:
            for number in range(STEPS):
                step = run.recorder.begin_step("a")
                run.recorder.end_step(step, content=f"ünd part {number}")
            run.fail("wrong")
    return folder, run.id


@pytest.fixture
def recorded(store_folder, monkeypatch):
    folder, trace_id = store_folder
    monkeypatch.setenv("AGENTRACER_HOME", str(folder))
    return trace_id


def test_steps_takes_a_range(recorded):
    result = CliRunner().invoke(cli, ["show", recorded, "--steps", "2000-2001"])
    assert result.exit_code == 0
    assert "part 2000\n" in result.stdout
    assert "part 2001\n" in result.stdout
    assert "part 1999\n" not in result.stdout
    assert "part 2002\n" not in result.stdout


def test_an_open_range_goes_to_the_end(recorded):
    result = CliRunner().invoke(cli, ["show", recorded, "--steps", "4998-"])
    assert result.stdout.count("part ") == 3


@pytest.mark.parametrize("text", ["a", "-", "5-a", "-3", "1-2-3"])
def test_what_is_no_range_is_a_usage_error(recorded, text):
    result = CliRunner().invoke(cli, ["show", recorded, f"--steps={text}"])
    assert result.exit_code == 2
    assert "no range of steps; write 10-20, 7 or 100-" in result.stderr


@pytest.mark.parametrize("command", [["export"], ["show", "--json"]])
def test_json_of_a_long_run_has_all_steps_each_on_one_line(recorded, command):
    result = CliRunner().invoke(cli, [*command, recorded])
    trace = Store().load(recorded)
    assert json.loads(result.stdout) == json.loads(trace.to_json())
    assert sum('"content": "ünd part' in line for line in result.stdout.splitlines()) == STEPS
    assert all(line.count('"index"') <= 1 for line in result.stdout.splitlines())
