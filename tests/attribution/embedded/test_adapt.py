"""Adapting to a system: it must help where there is something to learn, and say how much."""

import json
import re
import sys

import pytest

from agentracer import replay
from agentracer.attribution import Tracer
from agentracer.attribution.embedded.fitting import fit
from agentracer.attribution.embedded.fitting.adapt import adapt, adapt_directory
from agentracer.errors import FormatError, MissingExtra

from .systems import odd_run

pytest.importorskip("scipy", reason="needs the extra [adapt]")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    for number in range(40):
        (folder / f"{number}.json").write_text(odd_run(number).to_json())
    return folder


@pytest.fixture(scope="module")
def adapted(labelled):
    path = labelled.parent / "model.json"
    return path, adapt_directory(labelled, path)


def test_it_finds_what_the_shipped_weights_cannot_know(adapted):
    _, made = adapted
    figures = made.as_dict()
    assert figures["runs"] == 40
    assert figures["before"]["step_accuracy"] < 0.4
    assert figures["after"]["step_accuracy"] > 0.6
    assert figures["step_gain"]["low"] > 0.1


def test_the_file_is_a_model_that_judges_new_runs_of_the_system_better(adapted):
    path, _ = adapted
    fresh = [odd_run(number) for number in range(100, 140)]

    def hits(tracer):
        return sum(tracer.attribute(run).step == run.labels[0].step for run in fresh)

    after = Tracer(f"embedded:{path}")
    assert hits(after) >= hits(Tracer("embedded")) + 12
    verdict = after.attribute(fresh[0])
    assert verdict.calibrated
    assert verdict.confidence > 0.4
    assert json.loads(path.read_text())["trained_on"]["adapted"]["runs"] == 40


@pytest.mark.slow
def test_the_same_labels_give_the_same_model(labelled, adapted):
    path, _ = adapted
    again = path.with_name("again.json")
    adapt_directory(labelled, again)
    assert again.read_bytes() == path.read_bytes()


def test_too_few_labels_or_tasks_are_refused():
    with pytest.raises(FormatError, match="too few") as caught:
        adapt([odd_run(number) for number in range(5)])
    assert "labels" in caught.value.remedy
    names = re.findall(r"`agentracer\.replay\.(\w+)`", caught.value.remedy)
    assert names
    assert all(callable(getattr(replay, name)) for name in names)
    assert "`agentracer " not in caught.value.remedy  # no command makes labels
    with pytest.raises(FormatError, match="1 tasks"):
        adapt([odd_run(1)] * 20)


def test_without_numpy_the_pip_line_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(MissingExtra, match=r"\[adapt\]"):
        fit.fit_path([fit.example_of(odd_run(1))], [1.0])
