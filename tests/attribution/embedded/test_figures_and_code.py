"""The checks of content: sums, code, copied figures."""

import time
import warnings

import pytest

from agentracer.attribution.embedded.text.code import inspect_code
from agentracer.attribution.embedded.text.figures import miscopied_figure, wrong_calculations


@pytest.mark.parametrize(
    "text",
    [
        "3 + 4 = 7",
        "12 * 12 = 144, so 144 - 44 = 100",
        "1,200 / 7 = 171.43",
        "$3.50 x 4 = $14.00",
        "10 / 3 = 3.3",
        "5 \\times 6 = 30",
        "x = 5, y = 7",
        "2 + 2 = 2 * 2",
        "50% + 20 = 60",
        "1,2 + 3 = 9",
        "a == b and 3 != 4",
        "28 wheels (2-8-4) = 112 in all",
        "2024-05-03 = a Friday, 7-3-1 = 9",
        "",
    ],
)
def test_sums_that_hold_or_mean_something_else_are_left_alone(text):
    assert wrong_calculations(text) == []


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("so 3 + 4 = 8 apples", 7),
        ("12 * 12 = 142.", 144),
        ("1,200 + 300 = 1,600", 1500),
        ("18 - 2 - 1 = 16", 15),
        ("10 / 4 = 3.5", 2.5),
    ],
)
def test_a_wrong_sum_is_found_and_recomputed(text, right):
    (found,) = wrong_calculations(text)
    assert found.value == right
    assert found.text in text


def test_code_is_parsed_and_never_run(tmp_path):
    mark = tmp_path / "ran"
    facts = inspect_code(f"```python\nopen({str(mark)!r}, 'w')\n```")
    assert facts.blocks == 1
    assert not mark.exists()


def test_what_is_visible_in_code():
    data = ", ".join(str(n) for n in range(10))
    facts = inspect_code(f"Look:\n```python\nrows = [{data}]\nkey = 'YOUR_API_KEY'\n```\n")
    assert (facts.broken, facts.literals, facts.unfilled, facts.silent) == (0, 10, True, True)
    assert inspect_code("```python\nprint('x'\n```").broken == 1
    assert inspect_code("```sh\ncurl 'x\n```").broken == 0
    assert inspect_code("no code = [1, 2]").blocks == 0


def test_parsing_code_warns_nobody():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        facts = inspect_code("```python\nimport re\nre.sub('\\d', '\\\\d', x)\n```")
    assert facts.broken == 0


def test_a_slip_of_the_pen_is_two_digits_swapped():
    assert miscopied_figure(frozenset({"5371"}), frozenset({"5731", "20"})) == ("5371", "5731")
    assert miscopied_figure(frozenset({"57"}), frozenset({"75"})) is None  # too short to tell
    assert miscopied_figure(frozenset({"5731"}), frozenset({"5731"})) is None
    assert miscopied_figure(frozenset({"2021"}), frozenset({"2012"})) is None  # two years


@pytest.mark.parametrize("filler", ["=", "1 + 1 = ", "1+", "= ", "```\n", "[1,", "\\", "1,"])
@pytest.mark.timing
def test_no_text_takes_more_than_linear_time(filler):
    text = "```python\n" + filler * (200_000 // len(filler))
    started = time.process_time()
    wrong_calculations(text)
    inspect_code(text)
    assert time.process_time() - started < 1.5
