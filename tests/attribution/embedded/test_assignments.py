"""What a text defines and states, and what its sums come to."""

import pytest

from agentracer.attribution.embedded.text.assignments import (
    assignments,
    formula_value,
    parse_number,
    same_value,
)
from agentracer.attribution.embedded.text.unwrap import unwrap_json, without_code_and_logs


def test_a_definition_says_how_and_a_statement_says_what():
    found = assignments("Step A: 3 * 4 -- apples in all\nResult: A = 12\nB = Port Marren")
    assert [(s.name, s.text, s.defines) for s in found] == [
        ("A", "3 * 4", True),
        ("A", "12", False),
        ("B", "Port Marren", False),
    ]


def test_several_values_in_one_line_are_told_apart():
    found = assignments("Do task 2: A / B | given A = 7, B = 3")
    assert [(s.name, s.text) for s in found] == [("2", "A / B"), ("A", "7"), ("B", "3")]


def test_what_a_program_prints_is_no_claim_of_the_one_who_quotes_it():
    quoted = [
        "```\nassert 3 * 4 == 13\n```",
        "Traceback (most recent call last):\n  File 'a.py', line 3\n    x = 3\nValueError: A = 4",
        "FAILED  total(3) == 4: A = 5",
        ">>> A = 7",
        "@@ -1,2 +1,2 @@\n-    return 3 * 4\n+    return A = 9",
    ]
    for text in quoted:
        assert "I state B = 2." in without_code_and_logs(f"I state B = 2.\n{text}\nDone.")
        assert [s.name for s in assignments(f"{text}\nB = 2")] == ["B"], text
    listed = "- A = 12\n- B = 3\n+ one more"
    assert without_code_and_logs(listed) == listed


def test_code_states_nothing_but_the_part_before_it_has_a_value():
    found = assignments("Result: A =\n```python\nx = 1\n```\n")
    assert [(s.name, s.text) for s in found] == [("A", "")]


@pytest.mark.parametrize(
    "text",
    ['{"content": "Part B: A + 1", "ok": true}', '```json\n{"c": ["Part B: A + 1"]}\n```'],
    ids=["bare", "fenced"],
)
def test_json_is_unwrapped(text):
    assert [s.name for s in assignments(unwrap_json(text))] == ["B"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A * 2 + .5", 8.5),
        ("20% * 50", 10),
        ("1,000 / 4", 250),
        ("6 × 7", 42),
        ("$3 * 2", 6),
        ("A * C", None),
        ("1 / 0", None),
        ("the year of A", None),
        ("__import__('os').system('true')", None),
        ("9 ** 9 ** 9", None),
        ("(" * 500, None),
    ],
)
def test_a_sum_is_evaluated_and_nothing_else_is(text, value):
    assert formula_value(text, {"A": 4.0}) == value


def test_a_number_is_the_whole_text_or_none():
    assert parse_number("2,470") == 2470
    assert parse_number("$3.50") == 3.5
    assert parse_number("-4") == -4
    assert parse_number("12 apples") is None


def test_rounding_makes_no_other_value_but_a_whole_number_is_exact():
    assert same_value(2.3333, 2.33)
    assert not same_value(24, 42)
    assert not same_value(1000, 1001)
