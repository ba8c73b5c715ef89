"""Read the phrases with which the scripted agents surround the lines that matter.

They are in `data/phrases.toml`. A mistake changes a line, never the phrases around it, so that
nothing but the mistake tells a wrong reply from the right one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import ConfigDict

from agentracer.lab.testbed.data import load

__all__ = ["PHRASES"]


@dataclass(frozen=True)
class _PhraseFile:
    __pydantic_config__ = ConfigDict(extra="forbid")

    common: dict[str, tuple[str, ...]]
    results: dict[str, tuple[str, ...]]


def _phrases() -> dict[tuple[str, str], tuple[str, ...]]:
    file = load("phrases.toml", _PhraseFile)
    return {
        (domain, occasion): options
        for domain, results in file.results.items()
        for occasion, options in {**file.common, "result": results}.items()
    }


PHRASES: Final[Mapping[tuple[str, str], tuple[str, ...]]] = _phrases()
"""The phrases to choose from, by domain and occasion."""
