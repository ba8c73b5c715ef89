"""Model files: what is shipped, what is refused, and that the card tells what the results say."""

import json
import sys
from pathlib import Path

import pytest

from agentracer.attribution import Tracer, embedded
from agentracer.attribution.embedded.model import catalogue
from agentracer.attribution.embedded.model.model_file import DEFAULT, load_model, shipped_model
from agentracer.errors import FormatError, UnknownModel

WEIGHTS = Path(embedded.__file__).parent / "weights"
TRAINING = Path(__file__).parents[3] / "training"


def test_the_shipped_files_are_small_json():
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) < 5_000_000
    assert {file.suffix for file in WEIGHTS.iterdir()} <= {".json", ".md"}


def test_the_default_is_the_better_one_on_systems_held_out_from_both():
    results = json.loads((WEIGHTS / "results.json").read_text())
    assert results["which to ship"]["better"] == results["shipped"] == DEFAULT
    assert shipped_model() == shipped_model("transfer")


def test_confidence_is_worth_what_it_says_on_systems_left_out():
    results = json.loads((WEIGHTS / "results.json").read_text())
    held_out = results["held-out systems"]
    assert held_out["framework"]["all"]["both"]["ece"] <= 0.08
    assert held_out["topology"]["all"]["both"]["ece"] <= 0.08
    assert results["cross-validation"]["both"]["ranker"]["ece"] <= 0.08
    for axis in ("framework", "topology", "domain"):
        for value, cell in held_out[axis].items():
            excess = cell["both"]["confidence"] - cell["both"]["step_accuracy"]["value"]
            assert excess <= 0.10, (axis, value)
    for axis in ("framework", "topology"):
        both = held_out[axis]["all"]["both"]
        assert both["accuracy_at_half_coverage"] >= 1.25 * both["step_accuracy"]["value"]


def test_the_model_card_is_made_from_the_results(monkeypatch):
    if not TRAINING.is_dir():
        pytest.skip("training/ is not part of this installation")
    monkeypatch.setattr(sys, "path", [str(TRAINING.parent), *sys.path])
    from training.embedded_card import render_card

    results = json.loads((WEIGHTS / "results.json").read_text())
    assert (WEIGHTS / "MODEL_CARD.md").read_text() == render_card(results)


def test_the_weights_keep_their_signs_and_name_known_features():
    weights = shipped_model().weights
    for name, weight in weights.items():
        assert catalogue.feature_of(name) in catalogue.CATALOGUE.values()
        low, high = catalogue.bounds(name)
        assert low is None or weight >= low
        assert high is None or weight <= high


def test_the_shipped_model_tells_what_it_was_trained_on():
    results = json.loads((WEIGHTS / "results.json").read_text())
    logs = sum(len(files) for files in results["data"]["whowhen"].values())
    ours = len(results["data"]["tracertraj"]["train"])
    assert len(shipped_model("in_domain").trained_on["ids"]) == logs + ours


def test_labels_drawn_at_random_taught_it_nothing():
    results = json.loads((WEIGHTS / "results.json").read_text())
    for subset in results["permutation test"].values():
        mean = sum(subset["step_accuracy"]) / len(subset["step_accuracy"])
        assert mean < subset["chance"] + 0.05


def test_a_file_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "model.json"
    shipped_model().save(path)
    assert load_model(path) == shipped_model()
    assert Tracer(f"embedded:{path}").backend.method == "ranker"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not JSON"),
        ("[]", "not a model"),
        ('{"format": "agentracer-embedded"}', "made for format"),
        (None, "a field is missing"),
    ],
)
def test_what_is_no_model_is_refused_with_a_remedy(text, problem, tmp_path):
    path = tmp_path / "model.json"
    if text is None:
        data = json.loads(shipped_model().to_json())
        del data["weights"]
        text = json.dumps(data)
    path.write_text(text)
    with pytest.raises(FormatError, match=problem) as caught:
        load_model(path)
    assert caught.value.remedy
    with pytest.raises(UnknownModel, match="no usable model"):
        Tracer(f"embedded:{path}")


def test_a_weight_that_is_no_number_is_refused(tmp_path):
    path = tmp_path / "model.json"
    path.write_text(shipped_model().to_json().replace('"agent_power": 1.5', '"agent_power": NaN'))
    with pytest.raises(FormatError):
        load_model(path)
