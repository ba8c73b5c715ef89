"""Turn any Python object into plain JSON data of bounded size, without ever raising.

Messages and tool calls hold lone surrogates, NaN, bytes, cycles, objects whose `__repr__` raises,
nesting of any depth. Each becomes JSON data that says what it was. What had to be left out is
marked with its size. Secrets are taken out by the functions that the recorder passes as `text` and
`field`.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import decimal
import enum
import math
import uuid
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import PurePath
from typing import Any

__all__ = ["Limits", "clean_text", "cut_text", "safe_repr", "to_json"]

_MARK = "…[agentracer: {}]…"
_PLAIN_TEXT = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    uuid.UUID,
    PurePath,
)
_MOST_MAPPED = 100_000  # entries read from a mapping that is no dict, as it may be endless
_BIG_INT_BITS = 256  # beyond this, JSON readers and Python's own digit limit disagree


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How much of one value is kept.

    Attributes:
        text: characters of one string.
        depth: levels of nesting.
        items: entries of one container.
        nodes: values in all, over every level.
    """

    text: int = 1_000_000
    depth: int = 64
    items: int = 10_000
    nodes: int = 200_000


UNBOUNDED = Limits(text=2**62, items=2**62, nodes=2**62)
"""Only depth is limited: what the schema itself applies, so that it stays readable by anyone."""


def clean_text(value: str) -> str:
    r"""`value` as encodable text: a lone surrogate becomes the six characters `\udXXX`."""
    if type(value) is not str:
        value = str.__str__(value)
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode(errors="backslashreplace").decode()
    return value


def cut_text(value: str, limit: int) -> str:
    """`value` cut to `limit` characters, three quarters from its head, the rest from its tail."""
    if len(value) <= limit:
        return value
    tail = limit // 4
    mark = _MARK.format(f"cut {len(value) - limit} of {len(value)} characters")
    return f"{value[: limit - tail]}{mark}{value[len(value) - tail :]}"


def safe_repr(value: object, limit: int = 2_000) -> str:
    """`repr(value)`, or a mark naming its type where that fails."""
    try:
        return cut_text(clean_text(repr(value)), limit)
    except Exception:  # noqa: BLE001 - the object's own code may raise anything
        return _MARK.format(f"unprintable {type(value).__name__}")


def to_json(
    value: object,
    *,
    limits: Limits = UNBOUNDED,
    text: Callable[[str], str] = clean_text,
    field: Callable[[str, str], str] | None = None,
) -> Any:
    """Turn any object into JSON data.

    Args:
        value: anything at all.
        limits: what is cut.
        text: applied to every string, keys included; must return encodable text.
        field: applied instead of `text` to a string under a key: `field(key, value)`.

    Returns:
        None, bool, int, finite float, str, list or dict with str keys, nested at most
        `limits.depth` deep. Other values become text, or a dict whose one `$`-key names what
        they were: `$bytes`, `$float`, `$int`, `$repr`.
    """
    return _Encoder(limits, text, field or (lambda _key, value: text(value))).encode(value, 0)


class _Encoder:
    """One walk over one value; holds the budget and the path (for cycles)."""

    def __init__(
        self, limits: Limits, text: Callable[[str], str], field: Callable[[str, str], str]
    ) -> None:
        self.limits, self.text, self.field = limits, text, field
        self.nodes = 0
        self.path: set[int] = set()

    def encode(self, value: object, depth: int, name: str | None = None) -> Any:
        """`value` as JSON data; `name` is the key under which it stands, if there is one."""
        kind = type(value)
        if kind is str:
            return self.text(value)  # type: ignore[arg-type]
        if value is None or kind is bool:
            return value
        if kind is int or kind is float:
            return self._number(value)  # type: ignore[arg-type]
        self.nodes += 1  # (plain text and numbers are bounded by the containers that hold them)
        if self.nodes > self.limits.nodes:
            return _MARK.format(f"cut, more than {self.limits.nodes} values")
        try:
            if kind is dict or kind is list or kind is tuple:
                return self._container(value, value, depth, name)  # type: ignore[arg-type]
            return self._other(value, depth)
        except Exception:  # noqa: BLE001 - the object's own code may raise anything
            return _MARK.format(f"unprintable {kind.__name__}")

    def _number(self, value: float) -> Any:
        if isinstance(value, float):
            value = float.__float__(value)
            return value if math.isfinite(value) else {"$float": str(value)}
        value = int.__int__(value)
        return (
            value if value.bit_length() <= _BIG_INT_BITS else {"$int": cut_text(hex(value), 2_000)}
        )

    def _other(self, value: object, depth: int) -> Any:
        if isinstance(value, enum.Enum):
            return self.encode(value.value, depth)
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (int, float)):
            return self._number(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._bytes(bytes(value))
        if isinstance(value, _PLAIN_TEXT):
            return self.text(str(value))
        if isinstance(value, BaseException):
            return self.text(f"{type(value).__name__}: {value}")
        contents = _contents(value, min(self.limits.items + 1, _MOST_MAPPED))
        if contents is None:
            return {"$repr": self.text(safe_repr(value))}
        return self._container(value, contents, depth)

    def _bytes(self, value: bytes) -> dict[str, Any]:
        kept = value[: self.limits.text]
        with contextlib.suppress(UnicodeDecodeError):  # text as bytes may hold secrets too
            decoded = kept.decode()
            redacted = self.text(decoded)
            kept = kept if redacted == decoded else redacted.encode()
        return {"$bytes": base64.b64encode(kept).decode(), "length": len(value)}

    def _container(
        self,
        value: object,
        contents: Mapping[Any, Any] | Iterable[Any],
        depth: int,
        name: str | None = None,
    ) -> Any:
        if id(value) in self.path:
            return _MARK.format("cycle")
        if depth >= self.limits.depth:
            return _MARK.format(f"cut, deeper than {self.limits.depth} levels")
        self.path.add(id(value))
        try:
            if isinstance(contents, Mapping):
                return self._mapping(contents, _size(value, contents), depth)
            return self._sequence(contents, depth, name)
        finally:
            self.path.discard(id(value))

    def _mapping(self, value: Mapping[Any, Any], total: int, depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        kept = min(len(value), self.limits.items)
        if kept < total:
            kept = max(kept - 1, 0)  # one place is for the mark
        for key, item in islice(value.items(), kept):
            name = self.text(key if isinstance(key, str) else safe_repr(key))
            while name in out:  # 1 and "1" are two keys in Python and one in JSON
                name += "'"
            if isinstance(item, str):
                out[name] = self.field(name, item)
            else:
                out[name] = self.encode(item, depth + 1, name)
        if kept < total:
            out["$cut"] = f"{total - kept} of {total} entries"
        label = out.get("name", out.get("key"))
        if isinstance(label, str) and isinstance(out.get("value"), str):
            out["value"] = self.field(label, out["value"])
        return out

    def _sequence(self, value: Iterable[Any], depth: int, name: str | None) -> list[Any]:
        items = self._listed(value)
        if name is not None:
            return [
                self.field(name, item) if isinstance(item, str) else self.encode(item, depth + 1)
                for item in items
            ]
        if (
            len(items) == 2
            and all(isinstance(item, str) for item in items)
            and _is_header(items[0])
        ):
            return [self.text(items[0]), self.field(items[0], items[1])]
        return [self.encode(item, depth + 1) for item in items]

    def _listed(self, value: Iterable[Any]) -> list[Any]:
        """The items that are kept, the last replaced by a mark where there are more."""
        items = list(islice(value, self.limits.items + 1))
        if len(items) <= self.limits.items:
            return items
        kept = items[: self.limits.items - 1]
        return [*kept, _MARK.format(f"cut after {len(kept)} items")]


def _is_header(name: str) -> bool:
    """Whether the first of two texts names an HTTP header, so that the other is its value."""
    return len(name) < 64 and ("-" in name or name.lower() in ("authorization", "cookie"))


def _size(value: object, contents: Mapping[Any, Any]) -> int:
    """How many entries `value` has: more than `contents` where it was not read to its end."""
    if not isinstance(value, dict) and isinstance(value, Mapping):
        with contextlib.suppress(Exception):  # the object's own code may raise anything
            return max(len(value), len(contents))
    return len(contents)


def _contents(value: object, most: int) -> Mapping[Any, Any] | Iterable[Any] | None:
    """What `value` holds, if it is a container whose contents say more than its repr."""
    if isinstance(value, dict):
        return dict(dict.items(value)) if type(value) is not dict else value
    if isinstance(value, (list, tuple, set, frozenset)):
        return value
    if isinstance(value, Mapping):
        return dict(islice(value.items(), most))
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: getattr(value, name, None) for name in names}
    fields = getattr(type(value), "model_fields", None)  # pydantic, without importing it
    if isinstance(fields, dict):
        return {name: getattr(value, name, None) for name in fields}
    return None
