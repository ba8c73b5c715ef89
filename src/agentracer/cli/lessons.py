"""`agentracer lessons`: what iterations have learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table
from rich.text import Text

from agentracer.cli._io import console, fail, print_json, say
from agentracer.escaping import escape_control_chars

if TYPE_CHECKING:
    from agentracer.evolution.lessons import Lesson, LessonStore

__all__ = ["lessons"]


@click.group()
def lessons() -> None:
    """What iterations have learned: list, show, drop, export."""


def _store(file: Path | None) -> LessonStore:
    from agentracer.evolution.lessons import LessonStore

    return LessonStore(file)


_file = click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The lessons; by default lessons.db beside the traces.",
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@lessons.command("list")
@click.option("--agent", help="Only the lessons for this agent.")
@click.option(
    "--state", type=click.Choice(["proposed", "kept", "retracted", "dropped"]), help="Only these."
)
@_as_json
@_file
def list_lessons(agent: str | None, state: str | None, as_json: bool, file: Path | None) -> None:
    """List lessons, the most useful first."""
    found = [
        one
        for one in _store(file)
        if (agent is None or one.agent == agent) and (state is None or one.state == state)
    ]
    if as_json:
        print_json([one.to_json() for one in found])
        return
    if not found:
        say("no lessons")
        return
    table = Table(box=None, pad_edge=False, header_style="")
    for head in ("id", "state", "agent", "won", "lost", "used", "lesson"):
        table.add_column(head, overflow="ellipsis", no_wrap=head != "lesson")
    for one in found:
        shown = (one.id[:8], one.state, one.agent, one.wins, one.losses, one.used, _brief(one))
        table.add_row(*(Text(escape_control_chars(str(cell))) for cell in shown))
    console().print(table)


@lessons.command()
@click.argument("lesson")
@_as_json
@_file
def show(lesson: str, as_json: bool, file: Path | None) -> None:
    """Show one lesson: its text, why it was given, and what it did."""
    one = _found(_store(file), lesson)
    if as_json:
        print_json(one.to_json())
        return
    facts: list[tuple[str, Any]] = [
        ("id", one.id),
        ("state", f"{one.state}: {one.note}" if one.note else one.state),
        ("agent", one.agent),
        ("task", one.task),
        ("trace", one.trace),
        ("proof", (one.verification or {}).get("status", "none")),
        ("trials", f"{one.wins} tasks won, {one.losses} lost"),
        ("used", f"in {one.used} runs"),
        ("reason", (one.verdict or {}).get("reason", "")),
    ]
    for name, value in facts:
        console().print(Text(f"{name:<8}{escape_control_chars(str(value))}"))
    console().print(Text(f"\n{escape_control_chars(one.text)}"))


@lessons.command()
@click.argument("lesson")
@_file
def drop(lesson: str, file: Path | None) -> None:
    """Take a lesson out for good."""
    store = _store(file)
    one = _found(store, lesson)
    store.drop(one.id)
    say(f"dropped {one.id}, for {one.agent}")


@lessons.command()
@click.option("--state", default="kept", show_default=True, help="Which lessons; all: every one.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file; stdout if not."
)
@_file
def export(state: str, output: Path | None, file: Path | None) -> None:
    """Write lessons as JSON lines."""
    from agentracer.evolution.lessons import STATES
    from agentracer.store import write_atomically

    if state not in (*STATES, "all"):
        fail(f"--state is one of {', '.join(STATES)}, or all; not {state!r}")
    found = [one for one in _store(file) if state in ("all", one.state)]
    text = "".join(f"{json.dumps(one.to_json(), ensure_ascii=False)}\n" for one in found)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        write_atomically(output, text)
    except OSError as error:
        fail(f"{output}: cannot be written ({error.strerror})")
    say(f"{len(found)} lessons written to {output}")


def _found(store: LessonStore, lesson: str) -> Lesson:
    try:
        return store.get(lesson)
    except LookupError as error:
        fail(str(error))


def _brief(one: Lesson) -> str:
    """The lesson without the line that stands above all of them."""
    lines = [line.removeprefix("| ") for line in one.text.splitlines() if line.startswith("| ")]
    return " ".join(lines) or one.text
