"""Any object becomes JSON data that says what it was."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentracer.encoding import Limits, cut_text, to_json
from tests.hostile import cycle, deep, hostile_values

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters(exclude_categories=())) | st.integers(), inner)
        | st.tuples(inner, inner)
    ),
    max_leaves=30,
)


@pytest.mark.parametrize("value", hostile_values().values(), ids=hostile_values())
def test_hostile_values_become_strict_json(value):
    text = json.dumps(to_json(value), allow_nan=False, ensure_ascii=False)
    text.encode()
    assert json.loads(text) == to_json(json.loads(text))


@given(anything)
def test_any_value_becomes_strict_json_and_stays_what_it_became(value):
    once = to_json(value)
    json.dumps(once, allow_nan=False, ensure_ascii=False).encode()
    assert to_json(once) == once


@given(anything)
def test_limits_hold_for_any_value(value):
    limits = Limits(depth=3, items=4, nodes=20)
    assert to_json(to_json(value, limits=limits), limits=limits) is not None or value is None


def test_plain_data_is_left_alone():
    value = {"a": [1, 2.5, True, None, "ü"], "b": {"c": []}}
    assert to_json(value) == value


def test_what_cannot_be_json_says_what_it_was():
    assert to_json(math.nan) == {"$float": "nan"}
    assert to_json(b"\xff") == {"$bytes": "/w==", "length": 1}
    assert to_json(10**5000)["$int"].startswith("0x")
    assert to_json("a\ud800") == "a\\ud800"
    assert "unprintable" in to_json({"x": ReprRaisesNow()})["x"]["$repr"]


class ReprRaisesNow:
    def __repr__(self):
        raise RuntimeError("no repr")


def test_a_cycle_is_cut_where_it_closes():
    assert to_json(cycle()) == {"self": "…[agentracer: cycle]…"}
    shared = [1]
    assert to_json([shared, shared]) == [[1], [1]], "the same object twice is no cycle"


def test_deep_nesting_is_cut_with_a_mark():
    text = json.dumps(to_json(deep()))
    assert "deeper than 64 levels" in text


def test_cuts_say_how_much_is_missing():
    assert "cut 10 of 20 characters" in cut_text("x" * 20, 10)
    assert (
        to_json(list(range(10)), limits=Limits(items=4))[-1] == "…[agentracer: cut after 3 items]…"
    )
    assert (
        to_json({str(i): i for i in range(10)}, limits=Limits(items=4))["$cut"] == "7 of 10 entries"
    )


@pytest.mark.timing
def test_a_string_of_50_megabytes_is_handled_at_once():
    started = time.perf_counter()
    to_json({"x": "é" * 25_000_000})
    assert time.perf_counter() - started < 2


def test_a_mapping_that_lies_about_its_length_is_kept():
    class Short(dict):
        def __len__(self):
            raise ValueError("no length")

    class Unsized(Mapping):
        def __getitem__(self, key):
            return key

        def __iter__(self):
            return iter("ab")

        def __len__(self):
            raise ValueError("no length")

    for value in (Short(a="a", b="b"), Unsized()):
        assert to_json(value) == {"a": "a", "b": "b"}


@pytest.mark.parametrize("items", [0, 1, 2])
def test_what_is_left_out_of_a_mapping_is_counted(items):
    kept = max(items - 1, 0)
    whole = {str(i): i for i in range(5)}
    cut = to_json(whole, limits=Limits(items=items))
    assert cut.pop("$cut") == f"{5 - kept} of 5 entries"
    assert cut == dict(list(whole.items())[:kept])
