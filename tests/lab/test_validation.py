"""The proof without an oracle, held to planted faults and to controls."""

from __future__ import annotations

import importlib.util
import json
import random

import pytest
from click.testing import CliRunner

from agentracer.cli import cli
from agentracer.lab.validation import (
    CONTROLS,
    FAMILIES,
    Result,
    Validation,
    controls,
    validate,
)
from agentracer.replay.success_curve.definition import decisive_step

pytest.importorskip("langchain_openai", reason="needs the extra [demo]")

MODULES = {"langgraph": "langgraph", "autogen": "autogen_agentchat", "camel": "camel"}


@pytest.mark.slow
def test_planted_steps_are_named_and_controls_are_not_confirmed(captured):
    found = validate()
    installed = [name for name, module in MODULES.items() if importlib.util.find_spec(module)]
    names = {(r.name.split(", ")[0], r.name.split(", ")[1].split(".")[0]) for r in found.faults}
    # Orchestration faults leave the teams of LangGraph and AutoGen right, so none can be planted.
    unplanted = {("langgraph", "orchestration"), ("autogen", "orchestration")}
    everything = {(framework, family) for framework in installed for family in FAMILIES}
    assert everything - unplanted <= names <= everything
    assert {family for _, family in names} == set(FAMILIES)
    assert len(found.controls) == CONTROLS >= 20
    assert len(found.confirmed_controls) <= 1
    assert len(found.right) >= 0.8 * len(found.faults)
    assert found.holds


def test_a_fault_of_one_family_is_found_and_six_controls_are_not_confirmed(captured):
    seen = []
    found = validate(
        frameworks=["langgraph"], families=["tool_call"], count=6, on_result=seen.append
    )
    (fault,) = found.faults
    assert fault.named == fault.planted
    assert fault.confirmed
    assert {control.name for control in found.controls} == {
        *("decided by chance", "slow decline", "never succeeds")
    }
    assert not found.confirmed_controls
    assert list(found.results) == seen


def test_the_controls_that_decline_have_no_decisive_step(tmp_path):
    for case in controls(tmp_path, 6, seed=3):
        if case.name == "slow decline":
            counts = [0, *(int(step.tool_calls[0].result) for step in case.trace.steps)]
            draws = random.Random(1)
            allowed = max(c for c in range(10) if case.system.check(c))
            rates = [
                sum(
                    errors + sum(draws.random() < 0.45 for _ in range(9 - kept)) <= allowed
                    for _ in range(2000)
                )
                / 2000
                for kept, errors in enumerate(counts)
            ]
            assert rates[0] > 0.2
            assert rates[-1] == 0.0
            assert decisive_step(rates) is None


def result(kind, planted, named, status=""):
    return Result(kind, "x", planted, named, status, 10, 0.1, "")


@pytest.mark.parametrize(
    ("results", "holds"),
    [
        ([result("fault", 1, 1, "confirmed")] * 4 + [result("fault", 1, 2, "likely")], True),
        ([result("fault", 1, 1, "likely")] * 3 + [result("fault", 1, None)] * 2, False),
        ([result("control", None, 2, "confirmed")] + [result("control", None, None)] * 9, True),
        ([result("control", None, 2, "confirmed")] * 2 + [result("control", None, 1)] * 9, False),
    ],
)
def test_it_holds_with_four_of_five_named_and_one_control_confirmed(results, holds):
    assert Validation(tuple(results), (), 1.0).holds is holds


def test_the_command_ends_with_status_1_where_the_proof_does_not_hold(monkeypatch):
    bad = Validation((result("control", None, 2, "confirmed"),) * 2, ("camel is absent",), 1.0)
    monkeypatch.setattr("agentracer.lab.validation.validate", lambda **_: bad)
    text = CliRunner().invoke(cli, ["validate"])
    assert text.exit_code == 1
    assert "controls with a confirmed step: 2 of 2" in text.output
    assert "not validated: camel is absent" in text.output
    data = CliRunner().invoke(cli, ["validate", "--json"])
    assert data.exit_code == 1
    assert json.loads(data.output)["confirmed_controls"] == 2


def test_the_command_refuses_a_framework_that_it_does_not_know():
    found = CliRunner().invoke(cli, ["validate", "--framework", "crew"])
    assert found.exit_code == 2
    assert "choose from langgraph, autogen, camel" in found.output
