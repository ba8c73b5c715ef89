"""The checks of natural tasks are tolerant of form and strict in substance."""

from __future__ import annotations

import pytest

from agentracer.lab.natural.checks import (
    code_passes,
    final_answer,
    find_program,
    number_is,
    text_is,
    time_is,
)
from agentracer.lab.natural.plans import read_assignment, read_order


@pytest.mark.parametrize(
    "text",
    [
        "1250",
        "1,250",
        "The answer is 1,250 rolls.",
        "So she pays $1250.00.",
        "**Answer:** 1250 euros, that is 50 more than last year (1200).",
        "5 * 250 = 1250",
        "We compute\n\n\\boxed{1250}",
        "To answer this, take 5 boxes.\nEach has 250.\nThat makes 1250 kg",
        "#### 1250",
        "The final answer to the question is: 1250cm",
        "Final answer\n\n1250",
    ],
)
def test_a_number_is_found_in_many_forms(text):
    assert number_is(text, 1250)


@pytest.mark.parametrize(
    "text",
    [
        "12500",
        "11,250",
        "1250.5",
        "-1250",
        "A1250 is the name of the machine",
        "The answer is 1200. Before, I had 1250.",
        "First 1250, then minus 40.\nSo 1210 are left.",
        "Five boxes",
        "",
        "I will be happy to help! Please give me the task.",
    ],
)
def test_a_number_that_is_only_near_is_refused(text):
    assert not number_is(text, 1250)


def test_a_small_number_may_be_written_as_a_word():
    assert number_is("He needs seven loads.", 7)
    assert not number_is("He needs seventeen loads.", 7)


@pytest.mark.parametrize("text", ["14:30", "At 2:30 pm.", "The answer is 14.30", "2.30 p.m. sharp"])
def test_a_time_is_found_in_many_forms(text):
    assert time_is(text, "14:30")


@pytest.mark.parametrize(
    "text", ["4:30", "14:30 or 15:30", "2:30 am", "at half past two", "1430", "14:301", "bus 14"]
)
def test_another_time_is_refused(text):
    assert not time_is(text, "14:30")


@pytest.mark.parametrize(
    ("text", "answers", "right"),
    [
        ("You meet at the boat-house.", ["boathouse", "boat house"], True),
        ("Answer: Mr. SØRENSEN".replace("Ø", "O"), ["Sorensen"], True),
        ("It is Lindquist.", ["Lindqvist"], True),
        ("It is Lindgrin.", ["Lindqvist"], False),
        ("at the hermits spring", ["Hermit's Spring"], True),
        ("at the spring", ["Hermit's Spring"], False),
        ("No, the practice is closed.", ["no"], True),
        ("Yes, there is no problem.", ["no"], False),
        ("Monday", ["Wednesday"], False),
        ("Form K77", ["K7"], False),
        ("The boathouse is nice.\nThe choir meets at the church.", ["boathouse"], False),
        ("word " * 40 + "boathouse", ["boathouse"], False),
        ("", ["boathouse"], False),
    ],
)
def test_a_short_text_is_compared_with_tolerance_for_spelling(text, answers, right):
    assert text_is(text, answers) is right


def test_the_final_answer_is_what_follows_the_last_marker():
    assert final_answer("Answer: 3\n\nNo. The answer is 4.\n\nThanks!") == "4."
    assert final_answer("one\ntwo\n\n") == "two"
    assert final_answer("") == ""


TESTS = [("twice(2)", "4"), ("twice('a')", "'aa'"), ("twice(None)", "!TypeError")]


def test_the_last_program_that_defines_the_function_is_tested():
    first = "```python\ndef twice(x):\n    return x\n```"
    text = f"{first}\nBetter:\n```\ndef twice(x):\n    return x * 2\n```"
    assert code_passes(text, "twice", TESTS)
    assert code_passes("def twice(x):\n    return x * 2", "twice", TESTS)


@pytest.mark.parametrize(
    "text",
    [
        "```python\ndef double(x):\n    return x * 2\n```",
        "```python\ndef twice(x):\n    return x + x if x != 2 else 5\n```",
        "def twice(x): multiply by two",
        "```python\ndef twice(x):\n    while True: pass\n```",
        "",
    ],
)
def test_programs_that_do_not_do_it_fail(text):
    assert not code_passes(text, "twice", TESTS)


def test_a_program_without_closing_fence_is_found():
    assert (
        find_program("Sure!\n```python\ndef f():\n    return 1\n", "f")
        == "def f():\n    return 1\n"
    )


SLOTS, ITEMS = ["Monday", "Tuesday"], ["bank", "tax office", "shop"]


@pytest.mark.parametrize(
    "text",
    [
        "bank: Monday\ntax office: Tuesday\nshop: Tuesday",
        "Monday: bank\nTuesday: Tax Office and shop",
        "**Monday**\n- bank\n\n**Tuesday**\n- tax office\n- shop",
        "bank on Monday, tax office on Tuesday, shop on Tuesday",
        "Plan: bank Tuesday\nNo, wait.\nPlan:\nbank - Monday\ntax office, shop - Tuesday",
    ],
)
def test_an_assignment_is_read_in_many_forms(text):
    assert read_assignment(text, ITEMS, SLOTS) == {"bank": 0, "tax office": 1, "shop": 1}


@pytest.mark.parametrize(
    "text",
    [
        "bank: Monday\ntax office: Tuesday",
        "bank: Monday or Tuesday\ntax office: Tuesday\nshop: Monday",
        "bank: Monday\ntax office: Tuesday\nshop: Monday\nbank: Tuesday",
        "bank, tax office, shop",
    ],
)
def test_an_unclear_assignment_is_not_read(text):
    assert read_assignment(text, ITEMS, SLOTS) is None


def test_an_order_is_read_with_whole_names():
    names = ["oak", "oak lane", "quay"]
    assert read_order("Plan: 1. Oak Lane 2. Quay (quayside) 3. oak", names) == [
        "oak lane",
        "quay",
        "oak",
    ]
