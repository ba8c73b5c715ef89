"""Input, output and errors of all commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from rich.console import Console

from agentracer.errors import AgentracerError, StoreError, TraceNotFound
from agentracer.escaping import escape_control_chars

if TYPE_CHECKING:
    from agentracer.store import Store
    from agentracer.trace import Trace
    from agentracer.verdict import Verdict

__all__ = [
    "BAD_INPUT",
    "PARTLY_DONE",
    "SKIPPED_FILES",
    "console",
    "fail",
    "load",
    "print_json",
    "progress_bar",
    "save_verdict",
    "say",
    "skipped",
    "usage_errors",
]

BAD_INPUT = 2
PARTLY_DONE = 3
SKIPPED_FILES = "agentracer.skipped_files"
"""Key of the context of a command that left out files which it could not read."""


def load(target: str) -> tuple[list[Trace], Store | None]:
    """Load the traces that an argument names; the store is returned for recorded ones only."""
    from agentracer.formats import load_any, load_text
    from agentracer.store import Store

    if target == "-":
        return load_text(sys.stdin.buffer.read()), None
    if Path(target).exists():
        problems: list[str] = []
        traces = load_any(target, problems)
        skipped(problems)
        return traces, None
    store = Store()
    try:
        return [store.load(target)], store
    except TraceNotFound as error:
        fail(f"{target}: no file or folder, and not the id of one recorded trace\n  {error}")


def skipped(problems: Sequence[str]) -> None:
    """Name files that could not be read; the command goes on and exits with 3."""
    for problem in problems:
        say(f"error: {problem}")
    context = click.get_current_context(silent=True)
    if problems and context is not None:
        context.meta[SKIPPED_FILES] = True


def console() -> Console:
    """Standard output: styled on a terminal; wide and plain in a pipe or under NO_COLOR."""
    width = None if sys.stdout.isatty() else 160
    return Console(highlight=False, emoji=False, markup=False, width=width)


def print_json(value: Any, *, rows: int | None = None) -> None:
    """Print JSON data piece by piece, so that the text of a large trace is not in memory twice.

    Args:
        value: the data.
        rows: levels below which each value is one line, which is ten times faster; None: every
            value has a line of its own.
    """
    if rows is None:
        encoder = json.JSONEncoder(ensure_ascii=False, indent=2, allow_nan=False)
        pieces = encoder.iterencode(value)
    else:
        pieces = _json_rows(value, rows)
    sys.stdout.writelines(pieces)
    sys.stdout.write("\n")
    sys.stdout.flush()


def _json_rows(value: Any, levels: int, margin: str = "\n") -> Iterator[str]:
    if not levels or not isinstance(value, dict | list) or not value:
        yield json.dumps(value, ensure_ascii=False, allow_nan=False)
        return
    inner, before = margin + "  ", ""
    yield "{" if isinstance(value, dict) else "["
    for item in value:
        yield before + inner
        before = ","
        if isinstance(value, dict):
            yield json.dumps(item, ensure_ascii=False) + ": "
            yield from _json_rows(value[item], levels - 1, inner)
        else:
            yield from _json_rows(item, levels - 1, inner)
    yield margin + ("}" if isinstance(value, dict) else "]")


def say(text: str) -> None:
    click.echo("\n".join(escape_control_chars(line) for line in text.splitlines()), err=True)


def fail(text: str) -> NoReturn:
    say(f"error: {text}")
    sys.exit(BAD_INPUT)


def save_verdict(store: Store, verdict: Verdict) -> None:
    """Keep a verdict in the store; where it cannot be written, say so and go on."""
    try:
        store.save_verdict(verdict)
    except StoreError as error:
        say(f"note: {error}")


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn a `ValueError` about the value of an option into a usage error."""
    try:
        yield
    except ValueError as error:
        if isinstance(error, AgentracerError):
            raise
        fail(str(error))


@contextmanager
def progress_bar(verb: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(verb, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
