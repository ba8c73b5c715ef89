"""Find JSON objects in the text of a language model, which may reason before and after them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["extract_json_objects"]


def extract_json_objects(
    text: str, *, key: str | None = None, max_starts: int | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a text, the last one first, without those inside another one.

    Args:
        text: any text.
        key: only objects with this key; one inside an object without it counts, too.
        max_starts: how many opening braces are tried, counted from the end. Bounds the time for
            hostile text, which is otherwise quadratic in its length.
    """
    decoder = json.JSONDecoder()
    starts = [match.start() for match in re.finditer(r"\{", text)]
    objects: list[dict[str, Any]] = []
    end = 0
    for start in starts[-max_starts:] if max_starts else starts:
        if start < end:
            continue  # inside the object before
        try:
            data, stop = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(data, dict) and (key is None or key in data):
            objects.append(data)
            end = stop
    yield from reversed(objects)
