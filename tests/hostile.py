"""Values that a framework can hold and that break naive tracers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class ReprRaises:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__


class EverythingRaises(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise ValueError("no items")

    def __iter__(self) -> Iterator[str]:
        raise ValueError("no iteration")

    def __len__(self) -> int:
        raise ValueError("no length")


class EndlessMapping(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield str(number)

    def __len__(self) -> int:
        return 2**40


class StrRaises(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("no str")

    def encode(self, *args: Any, **kwargs: Any) -> bytes:
        raise RuntimeError("no bytes")


class DunderStr(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no message")


def cycle() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


def deep(levels: int = 100_000) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def hostile_values() -> dict[str, Any]:
    return {
        "lone surrogate": "a\ud800b",
        "surrogate key": {"\udfff": 1},
        "nan": float("nan"),
        "infinity": {"x": [float("inf"), -float("inf")]},
        "bytes": b"\xff\x00" * 10,
        "cycle": cycle(),
        "repr raises": ReprRaises(),
        "repr raises, nested": {"x": [ReprRaises()]},
        "everything raises": EverythingRaises(),
        "endless mapping": EndlessMapping(),
        "str subclass that raises": StrRaises("text"),
        "exception that raises": DunderStr(),
        "deep nesting": deep(),
        "huge int": 10**5000,
        "int keys": {1: "a", "1": "b", None: "c"},
        "set": {1, "a"},
        "generator": (x for x in range(3)),
        "class": ReprRaises,
        "object": object(),
        "nul": "a\x00b",
    }
