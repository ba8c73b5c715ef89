"""Print the results of `agentracer attribute` in the requested format."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from agentracer.cli._io import console, fail, print_json
from agentracer.escaping import escape_control_chars
from agentracer.report import ci
from agentracer.report.ci import AttributedRun

if TYPE_CHECKING:
    from agentracer.trace import Trace
    from agentracer.verdict import Verdict

__all__ = ["print_verdicts"]

_SUMMARISED: Final = 50
"""Verdicts written out in a step summary, which GitHub limits to 1 MiB."""


def print_verdicts(
    form: str,
    traces: Sequence[Trace],
    verdicts: Sequence[tuple[Trace, Verdict]],
    failures: Sequence[str],
    target: str,
) -> None:
    """Print the results of an attribution.

    Args:
        form: text, json, github, junit or markdown.
        traces: all traces of the command.
        verdicts: the verdicts, in the order of the traces.
        failures: the errors of the other traces, as `<trace id>: <reason>`.
        target: the argument of the command.
    """
    by_trace = {id(trace): verdict for trace, verdict in verdicts}  # two files may hold one trace
    errors = dict(failure.split(": ", 1) for failure in failures if ": " in failure)
    file = target if Path(target).is_file() else ""
    _WRITERS[form](
        [
            AttributedRun(t, by_trace.get(id(t)), errors.get(t.id, "no verdict"), file)
            for t in traces
        ]
    )


def _text(results: Sequence[AttributedRun]) -> None:
    from rich.text import Text

    from agentracer.report.grouping import lines
    from agentracer.report.terminal import print_verdict

    screen = console()
    several = len(results) > 1
    for result in results:
        if result.verdict is None:
            continue
        if several:
            screen.print(Text(escape_control_chars(result.trace.id), style="bold underline"))
        print_verdict(result.verdict, result.trace, screen)
        if several:
            screen.print()
    if several:
        for line, heading in lines([r.failure for r in results if not r.succeeded], "run"):
            screen.print(Text(line, style="bold" if heading else ""), soft_wrap=True)


def _json(results: Sequence[AttributedRun]) -> None:
    documents = [r.verdict.model_dump(mode="json") for r in results if r.verdict is not None]
    print_json(documents[0] if len(results) == 1 and documents else documents)


def _github(results: Sequence[AttributedRun]) -> None:
    for line in ci.github(results):
        click.echo(line)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            with Path(summary).open("a", encoding="utf-8") as page:
                page.write(ci.markdown(results, limit=_SUMMARISED))
        except OSError as error:
            fail(f"$GITHUB_STEP_SUMMARY: {summary}: {error.strerror}")


def _junit(results: Sequence[AttributedRun]) -> None:
    click.echo(ci.junit(results), nl=False)


def _markdown(results: Sequence[AttributedRun]) -> None:
    click.echo(ci.markdown(results), nl=False)


_WRITERS: Final[dict[str, Callable[[Sequence[AttributedRun]], None]]] = {
    "text": _text,
    "json": _json,
    "github": _github,
    "junit": _junit,
    "markdown": _markdown,
}
