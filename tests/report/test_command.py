"""`agentracer report`: what is written for which targets, and what is said."""

import json
import re

import click
import pytest
from click.testing import CliRunner
from samples import ROUNDS, failed_run, replayed

from agentracer import cli
from agentracer.attribution import Tracer
from agentracer.errors import BackendError
from agentracer.store import Store


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTRACER_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def no_browser(monkeypatch):
    opened = []
    monkeypatch.setattr(click, "launch", opened.append)
    return opened


def report(*arguments):
    return CliRunner().invoke(cli.cli, ["report", *map(str, arguments)])


def trace_file(path, task="Which company grew faster?"):
    trace, _ = failed_run()
    observed = trace.observed.model_copy(update={"task": task})
    path.write_text(trace.model_copy(update={"id": path.stem, "observed": observed}).to_json())
    return path


def data(path, name="data"):
    text = path.read_text()
    return json.loads(re.search(f'id="{name}">(.*?)</script>', text, re.DOTALL).group(1))


def test_one_run_gives_its_page(here):
    result = report(trace_file(here / "one.json"))
    assert (result.exit_code, result.stdout) == (0, "one.html\n")
    assert data(here / "one.html")["verdict"]["trace_id"] == "one"


def test_several_give_a_list_with_all_of_them_inside(here):
    result = report(trace_file(here / "one.json"), trace_file(here / "two.json"), "-o", "all.html")
    assert (result.exit_code, result.stdout) == (0, "all.html\n")
    assert [row["id"] for row in data(here / "all.html", "index-data")] == ["one", "two"]
    assert data(here / "all.html", "data-1")["trace"]["id"] == "two"


def test_a_folder_is_several(here):
    folder = here / "folder"
    folder.mkdir()
    for name in "abc":
        trace_file(folder / f"{name}.json")
    assert report(folder).stdout == "runs.html\n"
    assert len(data(here / "runs.html", "index-data")) == 3


def test_recorded_runs_come_with_their_kept_verdict_and_their_replays(here):
    store = Store()
    trace, verdict, again = replayed()
    name = store.add(trace)
    names = tuple(store.add(one) for one in again)
    proof = verdict.verification.model_copy(update={"traces": names})
    store.save_verdict(verdict.model_copy(update={"trace_id": name, "verification": proof}))
    assert report(name, "-o", "page.html").exit_code == 0
    found = data(here / "page.html")
    assert found["verdict"]["verification"]["status"] == "confirmed"
    assert [(one["trace"], one["control"], one["parts"]) for one in found["replays"]] == [
        (names[0], False, 2),
        (names[1], True, None),
    ]


def test_the_rounds_of_an_evolution(here):
    (here / "rounds.json").write_text(json.dumps(ROUNDS))
    assert report("rounds.json").stdout == "rounds.html\n"
    assert data(here / "rounds.html")["rounds"][0]["changes"][0]["agent"] == "solver"


def test_open_shows_the_page_in_the_browser(here, no_browser):
    report(trace_file(here / "one.json"), "--open")
    assert no_browser == [(here / "one.html").as_uri()]


def test_nothing_is_opened_unasked(here, no_browser):
    report(trace_file(here / "one.json"))
    assert no_browser == []


def test_a_run_that_cannot_be_attributed_is_listed_and_said(here, monkeypatch):
    attribute = Tracer.attribute

    def failing(self, trace, *args, **kwargs):
        if trace.id == "two":
            raise BackendError("the model is gone")
        return attribute(self, trace, *args, **kwargs)

    monkeypatch.setattr(Tracer, "attribute", failing)
    result = report(trace_file(here / "one.json"), trace_file(here / "two.json"))
    assert result.exit_code == cli.PARTLY_DONE
    assert "two: the model is gone" in result.stderr
    rows = data(here / "runs.html", "index-data")
    assert [(row["agent"] is None, row["why"]) for row in rows][1] == (True, "the model is gone")


def test_nothing_is_written_where_nothing_could_be_attributed(here, monkeypatch):
    def failing(*_, **__):
        raise BackendError("the model is gone")

    monkeypatch.setattr(Tracer, "attribute", failing)
    result = report(trace_file(here / "one.json"))
    assert result.exit_code == cli.BAD_INPUT
    assert not list(here.glob("*.html"))


def test_an_unknown_target_says_where_it_looked(here):
    result = report("nothing")
    assert result.exit_code == cli.BAD_INPUT
    assert "no file or folder, and not the id of one recorded trace" in result.stderr
