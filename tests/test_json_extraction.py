"""Finding JSON objects in the text of a language model."""

from __future__ import annotations

import json
import time

from agentracer.json_extraction import extract_json_objects


def test_the_last_object_comes_first_and_nested_ones_are_part_of_it():
    text = 'I think {"a": {"b": 1}} is wrong, so ```json\n{"a": 2}\n``` {:-)'
    assert list(extract_json_objects(text)) == [{"a": 2}, {"a": {"b": 1}}]


def test_only_objects_with_the_key_are_found_even_inside_others():
    text = '{"wrapper": {"step": "x"}} {"other": 1}'
    assert list(extract_json_objects(text, key="step")) == [{"step": "x"}]


def test_an_object_with_many_braces_is_found_whole():
    data = {"calls": [{"n": i} for i in range(200)]}
    assert next(extract_json_objects(f"so: {json.dumps(data)}")) == data


def test_text_without_an_object_gives_none():
    assert list(extract_json_objects("[1, 2] {not json} {")) == []


def test_hostile_nesting_ends_soon():
    started = time.perf_counter()
    assert list(extract_json_objects('{"a":' * 20_000, max_starts=64)) == []
    assert time.perf_counter() - started < 5
