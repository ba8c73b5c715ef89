"""Collecting natural runs follows a plan, resumes, and writes the same rows again."""

from __future__ import annotations

import itertools
import json

import pytest
from click.testing import CliRunner
from tests.lab.natural.plain_model import PlainModel

from agentracer.cli.collect import collect
from agentracer.errors import BackendError, CollectionMismatch
from agentracer.lab.natural.collection import collect_natural, plan_runs, server_version
from agentracer.lab.natural.endpoint import Endpoint
from agentracer.lab.testbed.server import ModelServer

pytest.importorskip("openai")

TASKS = ("word-cat-food", "word-library-fine")


def first(n, **settings):
    runs = itertools.islice(plan_runs(**settings), n)
    return [(run.index, run.system.name, run.task.id, run.seed) for run in runs]


def test_the_plan_depends_on_its_settings_alone_and_takes_each_pair_once_before_any_twice():
    settings = {"systems": (), "tasks": ("plan", *TASKS), "seed": 3}
    runs = first(400, **settings)
    assert runs == first(400, **settings)
    assert runs != first(400, **{**settings, "seed": 4})
    pairs = [(system, task) for _, system, task, _ in runs]
    count = len(set(pairs))
    assert 4 * 20 < count < 400
    assert len(set(pairs[:count])) == count


@pytest.mark.parametrize(
    ("systems", "tasks", "message"),
    [
        (("nothing",), (), "unknown system 'nothing'"),
        ((), ("nothing",), "unknown task 'nothing'"),
        (("langgraph-review",), ("word",), "none of these systems"),
    ],
)
def test_unknown_names_are_refused(systems, tasks, message):
    with pytest.raises(ValueError, match=message):
        plan_runs(systems, tasks, 0)


def test_a_collection_keeps_successes_and_failures_and_resumes(tmp_path):
    model = PlainModel("The answer is 5.")
    with ModelServer(model) as server:
        endpoint = Endpoint(server.base_url, "plain")
        settings = {"systems": ("python-functions",), "tasks": TASKS, "out": tmp_path}
        collect_natural(endpoint, n=1, **settings)
        asked = len(model.requests)
        outcomes = collect_natural(endpoint, n=2, **settings)
        assert outcomes == {"success": 1, "failure": 1}
        assert len(model.requests) == 2 * asked
        before = (tmp_path / "natural.jsonl").read_bytes()
        collect_natural(endpoint, n=2, **settings)
        assert (tmp_path / "natural.jsonl").read_bytes() == before
        assert len(model.requests) == 2 * asked
        with pytest.raises(CollectionMismatch):
            collect_natural(endpoint, n=2, seed=1, **settings)
    rows = [json.loads(line) for line in before.splitlines()]
    assert {row["question_ID"] for row in rows} == {f"natural/{task}" for task in TASKS}
    assert {row["seed"] for row in rows} == {request.body["seed"] for request in model.requests}
    assert {(row["model"], row["server"], row["mistake_step"]) for row in rows} == {
        ("plain", "unknown", None)
    }
    assert [len(row["history"]) for row in rows] == [3, 3]


def test_a_server_that_does_not_answer_is_said():
    with pytest.raises(BackendError, match="does not answer"):
        server_version(Endpoint("http://127.0.0.1:9/v1", "none"))


def test_the_command_collects_and_wants_an_endpoint(tmp_path):
    with ModelServer(PlainModel("The answer is 5.")) as server:
        options = ["--natural", "--n", "1", "--out", str(tmp_path), "--model", "plain"]
        options += ["--systems", "python-functions", "--tasks", TASKS[0]]
        refused = CliRunner().invoke(collect, options)
        assert refused.exit_code == 2
        assert "--base-url" in refused.output
        result = CliRunner().invoke(collect, [*options, "--base-url", server.base_url])
    assert result.exit_code == 0, result.output
    assert "1 run " in result.output
    assert "success 1" in result.output


def test_options_of_natural_runs_are_refused_without_them(tmp_path):
    options = ["--n", "1", "--out", str(tmp_path), "--base-url", "http://127.0.0.1:9/v1"]
    refused = CliRunner().invoke(collect, options)
    assert refused.exit_code == 2
    assert "--natural" in refused.output
