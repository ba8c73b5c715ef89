"""What `Usage` adds up."""

from __future__ import annotations

from dataclasses import fields

import pytest
from pydantic import TypeAdapter, ValidationError

from agentracer.usage import Usage


def test_every_field_is_added_and_subtracted():
    names = [field.name for field in fields(Usage)]
    first = Usage(**{name: 10 * place for place, name in enumerate(names, start=1)})
    second = Usage(**dict.fromkeys(names, 1))
    assert [getattr(first + second, name) for name in names] == [
        10 * place + 1 for place in range(1, len(names) + 1)
    ]
    assert first + second - second == first


def test_tokens_are_the_sum_of_what_was_read_and_written():
    usage = Usage(input_tokens=7, cached_tokens=5, output_tokens=2, unsplit_tokens=30)
    assert usage.tokens == 39
    assert usage.prefilled_tokens == 2


def test_it_is_read_back_from_what_it_was_written_as():
    usage = Usage(model_calls=2, seconds=0.5)
    assert usage.to_dict() == {"model_calls": 2, "seconds": 0.5}
    assert TypeAdapter(Usage).validate_python(usage.to_dict()) == usage


@pytest.mark.parametrize("data", [{"calls": 1}, {"steps": -1}])
def test_an_unknown_or_negative_count_is_refused(data: dict[str, int]):
    with pytest.raises(ValidationError):
        TypeAdapter(Usage).validate_python(data)
