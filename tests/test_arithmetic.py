"""Arithmetic written in a text: what each grammar accepts, and that nothing else is evaluated."""

import re

import pytest

from agentracer.arithmetic import Grammar, evaluate, without_leading_zeros

PLAIN = Grammar()
FULL = Grammar(
    operators={"×": "*", "÷": "/"},
    currency=True,
    percentages=True,
    thousands=re.compile(r"(?<=\d),(?=\d{3}\b)"),
)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1 + 2 * 3", 7), ("-(4 - 6) / 8", 0.25), (" 007 + 1 ", 8), ("2.5", 2.5)],
)
def test_the_four_operations_are_evaluated_with_their_precedence(text, value):
    assert evaluate(text, PLAIN) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2 ** 9",
        "7 // 2",
        "7 % 2",
        "1 / 0",
        "abs(1)",
        "'a'",
        "True",
        "1 if 1 else 2",
        "[1]",
        "1; 2",
    ],
)
def test_any_other_expression_has_no_value(text):
    assert evaluate(text, PLAIN) is None


def test_a_grammar_accepts_only_the_spellings_that_it_states():
    for text, value in (("$6 × 7", 42), ("1,200 ÷ 4", 300), ("50% × 8", 4)):
        assert evaluate(text, FULL) == value
        assert evaluate(text, PLAIN) is None


def test_variables_are_replaced_and_unknown_ones_give_no_value():
    assert evaluate("A * B - 1", PLAIN, {"A": 3, "B": 4}) == 11
    assert evaluate("A * C", PLAIN, {"A": 3}) is None


def test_an_alphabet_limits_the_whole_expression():
    short = Grammar(alphabet=re.compile(r"[\d+ ]{1,8}"))
    assert evaluate("1 + 2", short) == 3
    assert evaluate("1 - 2", short) is None
    assert evaluate("1 + 2 + 3 + 4", short) is None


def test_text_that_is_built_to_nest_deeply_has_no_value():
    assert evaluate("(" * 5_000 + "1" + ")" * 5_000, PLAIN) is None


def test_leading_zeros_of_whole_numbers_are_dropped():
    assert without_leading_zeros("007 + 010 + 10 + 0") == "7 + 10 + 10 + 0"


@pytest.mark.parametrize(("text", "value"), [("0.05", 0.05), ("1.05 * 100", 105), ("3.007", 3.007)])
def test_zeros_after_the_point_are_kept(text, value):
    assert without_leading_zeros(text) == text
    assert evaluate(text, PLAIN) == value
