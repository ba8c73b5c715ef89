"""Model files of format 1, which version 0.1.0 wrote."""

import json
from pathlib import Path

import pytest

from agentracer.attribution import Tracer
from agentracer.attribution.embedded.model.catalogue import CATALOGUE
from agentracer.attribution.embedded.model.format_1 import feature_name
from agentracer.attribution.embedded.model.model_file import load_model
from agentracer.errors import FormatError

from .systems import odd_run

ADAPTED = Path(__file__).parent / "data" / "adapted_by_0.1.0.json"


def test_a_model_that_0_1_0_adapted_gives_the_same_probabilities():
    verdict = Tracer(f"embedded:{ADAPTED}").attribute(odd_run(100))
    assert {c.step: c.probability for c in verdict.candidates} == pytest.approx(
        {
            3: 0.7999245854348465,
            2: 0.05901852720734729,
            5: 0.03392931151988638,
            1: 0.030970569839671308,
            0: 0.028895374971898206,
        },
        abs=1e-12,
    )
    assert verdict.confidence == pytest.approx(0.8226073956781801, abs=1e-12)
    assert verdict.coverage == 0.8


def test_it_is_saved_in_the_present_format_and_stays_the_same(tmp_path):
    model = load_model(ADAPTED)
    model.save(tmp_path / "model.json")
    saved = json.loads((tmp_path / "model.json").read_text())
    assert saved["format_version"] == 2
    assert "agent: critic, turn 1" in saved["weights"]
    assert load_model(tmp_path / "model.json") == model


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("wrong sum", "wrong_calculation"),
        ("first code", "first:code"),
        ("first code of it", "first_version"),
        ("first first code of it", "first:first_version"),
        ("managed: first claims a deed nobody did", "managed:first:unsupported_action_claim"),
        ("hard-coded data", "hard_coded_data"),
        ("agent: first reader", "agent: first reader"),
    ],
)
def test_an_old_name_becomes_a_name_of_the_catalogue(old, new):
    assert feature_name(old) == new
    assert new.startswith("agent: ") or new.removeprefix("managed:") in CATALOGUE


def test_a_name_that_no_version_had_is_refused(tmp_path):
    data = json.loads(ADAPTED.read_text())
    data["weights"]["wrong summ"] = 1.0
    path = tmp_path / "model.json"
    path.write_text(json.dumps(data))
    with pytest.raises(FormatError, match="no feature is called 'wrong_summ'"):
        load_model(path)
