"""The checks of content: sums, code, copied figures."""

import time
import warnings

import pytest

from agentracer.attribution.embedded.text.calculations import wrong_calculations
from agentracer.attribution.embedded.text.code import inspect_code
from agentracer.attribution.embedded.text.figures import miscopied_figure


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
        "0.04 × 484 = 19.36 and 1.05 * 100 = 105",
        "Boxes: 5 * 6 = 30, and then the crates: 12 * 120 = 1440 in all.",
        "2**3 + 1 = 9",
        "10 // 4 + 1 = 3",
        "2 (3 + 4) = 14",
        "√16 + 2 = 6",
        "1 000 + 500 = 1 500",
        "3x - 4 = 11",
        "2x + 3 = 7",
        "half of 3 + 5 = 4",
        "the square root of 16 + 9 = 5",
        "11:30 + 1:45 = 13:15",
        "9 / 2 = 4,5",
        "1.500 + 500 = 2.000",
        "1010 + 11 = 1101",
        "17 + 9 = 2 (mod 12)",
        "90 * 2 = 3 hours",
        "30 * 5 = 1.5 m",
        "5! + 1 = 121",
        "3 + 4 = 8?",
        "It is wrong that 3 + 4 = 8.",
        "If 3 + 4 = 8, then",
        "2^3 + 1 = 9",
        "(1/2) * 10^2 = 50",
        "3 + 4 = 8. Wait, no: 3 + 4 = 7.",
        "f(3) + 4 = 9",
        "5 - 3² = -4",
        "10 / 4 = 2",
        "7 / 2 = 3 remainder 1",
        "sum of 1 + 2, 3 = 6",
        "|3 - 5| = 2",
        "3 + 4i = 5",
        "2π * 3 = 18.85",
        "pages 3-5 = 10 points",
        "Score 3/5 = 60",
        "100 - 20% = 80",
        "4 + 4 = 8.",
        "5 * (2 + 1) = 15",
        "- 3 + 4 = 7",
        "1. 3 + 4 = 7",
        "1) 3 + 4 = 7",
        "16 - 3 - 4 = 9 eggs/day",
        "0.5 * 0.05 = 0.025",
        "2.0 * 05 = 10",
        "Total: 12*3=36",
        "3*4=12",
        "20 * 1.05^2 = 22.05",
        "5 + 6 = 11 and 2 + 2 = 4",
        "x1 + 2 = 5",
        "v2 + 3 = 7",
        "a2 * 3 = 12",
        "n=3 + 4 = 7",
        "10e3 + 1 = 10001",
        "#5 + 3 = 9",
        "1/3 + 1/6 = 1/2",
        "50 + 50 = 100%",
        "3 + 4 = 7.0",
        "5 % 3 + 1 = 3",
        "15 mod 4 + 1 = 4",
        "twice 4 + 1 = 9",
        "3 dozen + 4 = 40",
        "20 + 30 = five",
        "6 / 2(1+2) = 9",
        "1 + 2 + ... + 10 = 55",
        "1 + 2 + … + 10 = 55",
        "3 . 4 = 12",
        "12 / 3 = 4.00",
        "2 + 3 = 5 + 1",
        "8 * 7 = 56,",
        "4 * 5 = 20-ish",
        " + ".join(map(str, range(1, 31))) + " = 465",
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
        ("**12 * 12 = 142**", 144),
        ("- 12 * 12 = 142", 144),
        ("1. 3 + 4 = 8", 7),
        ("(3 + 4 = 8)", 7),
        ("0.04 × 484 = 193.6", 19.36),
        ("0.05 * 0.5 = 0.25", 0.025),
        ("$5 + $6 = $12", 11),
        ("x = 3 + 4 = 9", 7),
        ("The total is 20 * 3 = 70.", 60),
        (" + ".join(map(str, range(1, 31))) + " = 420", 465),
    ],
)
def test_a_wrong_sum_is_found_and_recomputed(text, right):
    (found,) = wrong_calculations(text)
    assert found.value == pytest.approx(right)
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
