"""Journals: the event lines that a recorder writes while a run goes on.

`agentracer.store.fold` knows what the events mean; this module lets a journal be given where a
trace file can be given.
"""

from __future__ import annotations

import json
from pathlib import Path

from agentracer.store.fold import fold_lines
from agentracer.trace import Trace

__all__ = ["is_journal", "trace_of"]


def is_journal(text: str) -> bool:
    """Whether the first line is the event that opens a journal."""
    try:
        first = json.loads(text.partition("\n")[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and first.get("e") == "run"


def trace_of(text: str, *, source: Path | None = None) -> Trace:
    """The trace that a journal adds up to.

    Raises:
        FormatError: the journal is damaged beyond use.
    """
    return fold_lines(text.encode().splitlines(), source=source)
