"""`agentracer lessons`: the lessons that `evolve` has learned."""

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
    """List, show, drop and export the lessons that `evolve` has learned."""


def _store(file: Path | None) -> LessonStore:
    from agentracer.evolution.lessons import LessonStore

    return LessonStore(file)


_file = click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The lesson store; default: lessons.db beside the traces.",
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@lessons.command("list")
@click.option("--agent", help="Only the lessons for this agent.")
@click.option(
    "--state",
    type=click.Choice(["proposed", "kept", "retracted", "dropped"]),
    help="Only lessons in this state.",
)
@_as_json
@_file
def list_lessons(agent: str | None, state: str | None, as_json: bool, file: Path | None) -> None:
    """List lessons, the most useful first."""
    chosen = [
        lesson
        for lesson in _store(file)
        if (agent is None or lesson.agent == agent) and (state is None or lesson.state == state)
    ]
    if as_json:
        print_json([lesson.to_json() for lesson in chosen])
        return
    if not chosen:
        say("no lessons")
        return
    table = Table(box=None, pad_edge=False, header_style="")
    for head in ("id", "state", "agent", "won", "lost", "used", "lesson"):
        table.add_column(head, overflow="ellipsis", no_wrap=head != "lesson")
    for row in chosen:
        cells = (row.id[:8], row.state, row.agent, row.wins, row.losses, row.used, _brief(row))
        table.add_row(*(Text(escape_control_chars(str(cell))) for cell in cells))
    console().print(table)


@lessons.command()
@click.argument("lesson")
@_as_json
@_file
def show(lesson: str, as_json: bool, file: Path | None) -> None:
    """Show a lesson: its text, its reason and its effect."""
    selected = _get(_store(file), lesson)
    if as_json:
        print_json(selected.to_json())
        return
    facts: list[tuple[str, Any]] = [
        ("id", selected.id),
        ("state", f"{selected.state}: {selected.note}" if selected.note else selected.state),
        ("agent", selected.agent),
        ("task", selected.task),
        ("trace", selected.trace),
        ("proof", (selected.verification or {}).get("status", "none")),
        ("trials", f"{selected.wins} tasks won, {selected.losses} lost"),
        ("used", f"in {selected.used} runs"),
        ("reason", (selected.verdict or {}).get("reason", "")),
    ]
    for name, value in facts:
        console().print(Text(f"{name:<8}{escape_control_chars(str(value))}"))
    console().print(Text(f"\n{escape_control_chars(selected.text)}"))


@lessons.command()
@click.argument("lesson")
@_file
def drop(lesson: str, file: Path | None) -> None:
    """Delete a lesson for good."""
    store = _store(file)
    selected = _get(store, lesson)
    store.drop(selected.id)
    say(f"dropped {selected.id}, for {selected.agent}")


@lessons.command()
@click.option(
    "--state",
    default="kept",
    show_default=True,
    help="Lessons in this state; `all` for every lesson.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file; default: stdout.",
)
@_file
def export(state: str, output: Path | None, file: Path | None) -> None:
    """Export lessons as JSON lines."""
    from agentracer.evolution.lessons import STATES
    from agentracer.store import write_atomically

    if state not in (*STATES, "all"):
        fail(f"--state is one of {', '.join(STATES)}, or all; not {state!r}")
    chosen = [lesson for lesson in _store(file) if state in ("all", lesson.state)]
    text = "".join(f"{json.dumps(lesson.to_json(), ensure_ascii=False)}\n" for lesson in chosen)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        write_atomically(output, text)
    except OSError as error:
        fail(f"{output}: cannot be written ({error.strerror})")
    say(f"{len(chosen)} lessons written to {output}")


def _get(store: LessonStore, lesson: str) -> Lesson:
    try:
        return store.get(lesson)
    except LookupError as error:
        fail(str(error))


def _brief(lesson: Lesson) -> str:
    """Return the lesson without the heading that all lessons share."""
    lines = [line.removeprefix("| ") for line in lesson.text.splitlines() if line.startswith("| ")]
    return " ".join(lines) or lesson.text
