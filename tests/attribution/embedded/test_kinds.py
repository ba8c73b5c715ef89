"""Declared features: names are distinct, and only declared ones can be reported or trained on."""

import pytest

from agentracer.attribution.embedded.checks import KINDS
from agentracer.attribution.embedded.checks.findings import FindingLog
from agentracer.attribution.embedded.kinds import Declarations, FindingKinds
from agentracer.attribution.embedded.model import catalogue
from agentracer.attribution.embedded.model.features import SHAPE


def test_a_name_cannot_be_declared_twice():
    kinds = FindingKinds()
    kind = kinds.against("odd", "is odd")
    with pytest.raises(ValueError, match="'odd' is declared twice"):
        kinds.either("odd")
    with pytest.raises(ValueError, match="declared twice"):
        Declarations(kinds, [kind])


def test_a_check_cannot_report_what_it_does_not_declare():
    kinds, others = FindingKinds(), FindingKinds()
    log = FindingLog(kinds, 1)
    with pytest.raises(ValueError, match="'odd' is not declared"):
        log.add(0, others.against("odd", "is odd"))
    assert log.steps == [{}]


def test_a_finding_is_reported_once_and_only_if_there_is_some_of_it():
    kinds = FindingKinds()
    kind = kinds.against("odd", "is odd", detail="{what}, not even")
    log = FindingLog(kinds, 2)
    log.add(0, kind, 0.5, what="three")
    log.add(0, kind, 1.0, what="five")
    log.add(1, kind, 0.0, what="four")
    (finding,) = log.steps[0].values()
    assert (finding.amount, finding.detail, finding.anchor) == (0.5, "three, not even", "three")
    assert log.steps[1] == {}


def test_the_catalogue_holds_what_is_declared_and_nothing_else():
    declared = {feature.name for feature in (*SHAPE, *KINDS)}
    marks = {f"first:{kind.name}" for kind in KINDS if kind.marks_first}
    assert set(catalogue.CATALOGUE) == declared | marks


def test_a_name_that_is_not_in_the_catalogue_has_no_sign_prior_or_penalty():
    for ask in (catalogue.bounds, catalogue.prior, catalogue.penalty_scale):
        with pytest.raises(ValueError, match="no feature is called 'wrong_summ'"):
            ask("wrong_summ")
    assert catalogue.bounds("agent: critic") == (None, None)
    assert catalogue.bounds("managed:wrong_calculation") == (None, None)
    assert catalogue.bounds("wrong_calculation") == (0.0, None)
