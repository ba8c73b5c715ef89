"""The benchmark end to end: on made-up logs everywhere, on the real ones where they are."""

import io
import json

import pytest
from rich.console import Console

from agentracer.attribution import Judgement, Tracer
from agentracer.errors import FormatError
from agentracer.lab.bench import as_dict, render, run, score_predictions, write_folder
from agentracer.verdict import Candidate

pytestmark = pytest.mark.slow

METRICS = {
    "agent_accuracy", "step_accuracy", "step_within_1", "step_within_3", "step_within_5",
    "step_top3", "step_top5", "step_mrr",
}  # fmt: skip


def log(question, speakers, agent=None, step=None):
    history = [{"content": f"{s} {i}", "role": "user", "name": s} for i, s in enumerate(speakers)]
    labels = {} if agent is None else {"mistake_agent": agent, "mistake_step": str(step)}
    return {"question": question, "ground_truth": "G", "history": history, **labels}


@pytest.fixture
def logs(tmp_path):
    for subset, file, content in (
        ("One", "1.json", log("q1", "abcabc", "b", 1)),
        ("One", "2.json", log("q2", "ab", "a", 0)),
        ("One", "3.json", log("q3", "ab")),
        ("Two", "1.json", log("q1", "a", "a", 0)),
    ):
        (tmp_path / subset).mkdir(exist_ok=True)
        (tmp_path / subset / file).write_text(json.dumps(content))
    return tmp_path


class Second:
    """Blames the second step, abstains where there is none."""

    name = "second"
    method = "stub"

    def __init__(self):
        self.truths = []

    def attribute(self, run, *, ground_truth):
        self.truths.append(ground_truth)
        if len(run.steps) < 2:
            return Judgement(abstain_reason="too short")
        return Judgement(candidates=(Candidate(agent=run.steps[1].agent, step=1),))


def test_subsets_are_scored_apart_and_unlabelled_logs_are_counted(logs):
    report = as_dict(run(logs, Tracer(Second())))
    one, two = report["subsets"]["One"], report["subsets"]["Two"]
    assert (one["n"], one["unlabelled"], one["abstained"]) == (2, 1, 0)
    assert one["step_accuracy"]["hits"] == 1
    assert one["step_accuracy"]["value"] == 0.5
    assert one["step_within_1"]["hits"] == 2
    assert (two["n"], two["abstained"]) == (1, 1)
    assert two["step_accuracy"]["hits"] == 0


def test_the_json_holds_every_metric_with_its_interval_for_tracer_and_rules(logs):
    report = json.loads(json.dumps(as_dict(run(logs, Tracer(Second()))), allow_nan=False))
    for subset in report["subsets"].values():
        for scores in (subset, *subset["rules"].values()):
            assert scores.keys() >= METRICS
            for metric in METRICS:
                rate = scores[metric]
                assert rate.keys() == {"value", "low", "high", "hits", "n"}
                assert 0 <= rate["low"] <= rate["value"] <= rate["high"] <= 1
                assert rate["n"] == scores["n"]


def test_the_json_holds_every_prediction(logs):
    report = as_dict(run(logs, Tracer(Second())))
    first, *_, last = report["predictions"]
    assert first | {"id": "", "seconds": 0.0} == {
        "id": "",
        "seconds": 0.0,
        "calls": 0,
        "tokens": 0,
        "file": "One/1.json",
        "agent": "b",
        "step": 1,
        "confidence": 0.0,
        "abstained": False,
        "candidates": [{"agent": "b", "step": 1}],
        "label": {"agent": "b", "step": 1},
        "agent_correct": True,
        "step_correct": True,
    }
    assert last["abstained"]
    assert last["agent"] is last["step"] is None
    assert not last["step_correct"]


@pytest.mark.parametrize(("with_truth", "setting"), [(False, "w/o G"), (True, "w/ G")])
def test_the_setting_is_kept_and_reported(with_truth, setting, logs):
    backend = Second()
    report = as_dict(run(logs, Tracer(backend, ground_truth=with_truth)))
    assert report["provenance"]["setting"] == setting
    assert report["provenance"]["model"] == "second"
    assert {truth is not None for truth in backend.truths} == {with_truth}


def test_progress_is_told_after_every_log(logs):
    told = []
    run(logs, Tracer(Second()), progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_table_shows_rules_beside_the_tracer_and_trusts_no_markup(logs):
    (logs / "Two").rename(logs / "[red]Two")
    out = io.StringIO()
    Console(file=out, width=160).print(render(run(logs, Tracer(Second()))))
    text = out.getvalue()
    assert "[red]Two: 1 runs" in text
    assert "50.0 [9, 91]" in text
    assert "best constant step *" in text
    assert "1 abstentions" in text


def test_too_short_a_shortlist_is_refused(logs):
    with pytest.raises(ValueError, match="top_k=5"):
        run(logs, Tracer(top_k=3))


def test_a_subset_without_any_label_is_an_error(logs):
    (logs / "Two" / "1.json").write_text(json.dumps(log("q1", "a")))
    with pytest.raises(FormatError, match="has a label") as caught:
        run(logs, Tracer(Second()))
    assert caught.value.remedy


@pytest.fixture(scope="module")
def measured(whowhen_logs):
    return as_dict(run(whowhen_logs))


@pytest.fixture(scope="module")
def in_domain(whowhen_logs):
    return as_dict(run(whowhen_logs, Tracer("embedded:in-domain")))


def test_the_in_domain_weights_know_the_runs_that_they_were_trained_on(in_domain):
    assert set(in_domain["subsets"]) == {"Algorithm-Generated", "Hand-Crafted"}
    for subset in in_domain["subsets"].values():
        rules = [rule for rule in subset["rules"].values() if not rule["fitted"]]
        for metric in ("agent_accuracy", "step_accuracy", "step_top3"):
            assert subset[metric]["hits"] > max(rule[metric]["hits"] for rule in rules)


def test_the_default_weights_beat_every_rule_that_saw_no_label_on_generated_steps(measured):
    generated = measured["subsets"]["Algorithm-Generated"]
    rules = [rule for rule in generated["rules"].values() if not rule["fitted"]]
    best = max(rule["step_accuracy"]["hits"] for rule in rules)
    assert generated["step_accuracy"]["hits"] > best


def test_figures_on_runs_that_the_weights_were_trained_on_are_marked(
    measured, in_domain, whowhen_logs
):
    def trained_on(figures):
        return [subset["trained_on"] for subset in figures["subsets"].values()]

    assert trained_on(in_domain) == [64, 30]
    assert trained_on(measured) == [0, 0]
    assert trained_on(as_dict(run(whowhen_logs, Tracer("embedded:rules")))) == [0, 0]


def test_trivial_rules_give_the_figures_of_the_development_half(measured):
    generated = measured["subsets"]["Algorithm-Generated"]["rules"]
    crafted = measured["subsets"]["Hand-Crafted"]["rules"]
    assert generated["best constant step"]["step_accuracy"]["hits"] == 21  # step 1 of 64 logs
    assert crafted["best constant agent"]["agent_accuracy"]["hits"] == 19  # WebSurfer of 30 logs


def test_a_run_takes_milliseconds(measured):
    for subset in measured["subsets"].values():
        assert subset["seconds_per_run"] < 0.5  # wall time, beside other programs; see test_ranker


# --- scorers, predictions, output


def test_the_official_scorer_takes_a_part_for_the_whole(logs):
    class Eleventh(Second):
        def attribute(self, run, *, ground_truth):
            step = min(10, len(run.steps) - 1)
            return Judgement(candidates=(Candidate(agent=run.steps[step].agent, step=step),))

    (logs / "One" / "1.json").write_text(json.dumps(log("q1", "abcabcabcab", "b", 1)))
    tracer = Tracer(Eleventh())
    strict, official = run(logs, tracer), run(logs, tracer, scorer="official")
    assert strict.subsets[0].scores.rates["step_accuracy"].hits == 0
    assert official.subsets[0].scores.rates["step_accuracy"].hits == 1
    assert official.scorer == "official"
    with pytest.raises(ValueError, match="strict, official"):
        run(logs, tracer, scorer="lenient")


def test_predictions_made_elsewhere_are_scored_and_missing_ones_are_abstentions(logs, tmp_path):
    file = tmp_path / "said.jsonl"
    lines = [
        {"file": "One/1.json", "agent": "b", "step": 1, "confidence": 0.75},
        {"file": "Two/1.json", "agent": "a", "step": 0, "candidates": [{"agent": "a", "step": 0}]},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    one, two = score_predictions(logs, file).subsets
    assert (one.scores.rates["step_accuracy"].hits, one.abstained) == (1, 1)
    assert two.scores.rates["agent_accuracy"].hits == 1
    assert one.reliability.ece == pytest.approx(0.25)


def test_our_own_report_is_a_file_of_predictions(logs, tmp_path):
    report = run(logs, Tracer(Second()))
    file = tmp_path / "report.txt"  # not .json: the logs lie in the same folder
    file.write_text(json.dumps(as_dict(report)))
    again = score_predictions(logs, file)
    assert [s.scores for s in again.subsets] == [s.scores for s in report.subsets]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({"file": "One/9.json", "agent": "b", "step": 1}, "no run is called"),
        ({"file": "One/1.json", "agent": "b", "step": "x"}, "ValueError"),
        ({"file": "One/1.json", "agent": "b", "step": 1, "confidence": 7}, "confidence"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(line, problem, logs, tmp_path):
    file = tmp_path / "said.txt"
    file.write_text(json.dumps([line]))
    with pytest.raises(FormatError, match=problem):
        score_predictions(logs, file)


def test_a_folder_gets_json_and_markdown_for_each_report(logs, tmp_path):
    reports = [run(logs, Tracer(Second(), ground_truth=truth)) for truth in (True, False)]
    written = write_folder(reports, tmp_path / "out", plots=False)
    names = sorted(path.name for path in written)
    assert names == [
        "who-when-second-w-g.json",
        "who-when-second-w-g.md",
        "who-when-second-wo-g.json",
        "who-when-second-wo-g.md",
    ]
    text = (tmp_path / "out" / "who-when-second-wo-g.md").read_text()
    assert "| **second** | 50.0 [9, 91] |" in text


def test_plots_are_drawn_where_matplotlib_is(logs, tmp_path):
    pytest.importorskip("matplotlib")
    written = write_folder([run(logs, Tracer())], tmp_path, plots=True)
    drawn = {path.name for path in written if path.suffix == ".png"}
    assert drawn == {"accuracy-by-tolerance.png", "calibration.png", "risk-coverage.png"}


def test_published_numbers_name_source_setting_and_kind(measured):
    rows = measured["subsets"]["Algorithm-Generated"]["published"]
    ours = next(row for row in rows if row["method"] == "AgenTracer-8B")
    assert (ours["agent"], ours["step"], ours["setting"]) == (63.73, 37.30, "w/o G")
    assert "not k/n" in ours["note"]
    assert all(row["source"] and row["kind"] in {"zero-shot", "in-domain"} for row in rows)
    assert not any(row["setting"] == "w/ G" for row in rows)
