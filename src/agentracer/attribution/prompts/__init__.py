"""Prompts are text files beside this module, with `$slots`; a verdict names the hash of those used.

A line of a prompt belongs to us; everything that comes from a trace goes into a slot, through
`rendering`, which neutralises it. Slots are filled once: text in a slot that looks like a slot
stays as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib import resources
from string import Template

__all__ = ["fill", "lines", "names", "source", "version"]

_SUFFIX = ".txt"


def names() -> tuple[str, ...]:
    """The prompts there are, in order of name."""
    files = (item.name for item in resources.files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in files if name.endswith(_SUFFIX)))


@cache
def source(name: str) -> str:
    """The text of a prompt with its slots, without the final newline."""
    file = resources.files(__name__) / f"{name}{_SUFFIX}"
    return file.read_text(encoding="utf-8").rstrip("\n")


def fill(name: str, **slots: str) -> str:
    """A prompt with every slot filled.

    Raises:
        KeyError: a slot was not given.
    """
    return Template(source(name)).substitute(slots)


def version(used: Iterable[str] | None = None) -> str:
    """A hash over the files of the prompts `used` (all by default): 12 hex digits."""
    digest = hashlib.blake2b(digest_size=6)
    for name in sorted(set(used if used is not None else names())):
        digest.update(f"{name}\0{source(name)}\0".encode())
    return digest.hexdigest()


def lines() -> list[str]:
    """Every distinct line of every prompt: what a tokenizer made for these prompts should know."""
    return list(dict.fromkeys(line for name in names() for line in source(name).split("\n")))
