"""`agentracer attribute` and `agentracer report`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agentracer.cli._io import (
    BAD_INPUT,
    PARTLY_DONE,
    console,
    fail,
    load,
    print_json,
    say,
    usage_errors,
)
from agentracer.errors import AgentracerError

if TYPE_CHECKING:
    from agentracer.attribution import Tracer
    from agentracer.store import Store
    from agentracer.trace import Trace
    from agentracer.verdict import Verdict

__all__ = ["attribute", "model_options", "report"]


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say who attributes."""
    for option in (
        click.option("--top-k", default=5, show_default=True, help="Length of the shortlist."),
        click.option(
            "--ground-truth",
            is_flag=True,
            help="Show the tracer the right answer (w/ G); the traces must have one.",
        ),
        click.option(
            "--model",
            default="embedded",
            show_default=True,
            metavar="SPEC",
            help="Who attributes: embedded, or SCHEME:PLACE of another backend.",
        ),
    ):
        command = option(command)
    return command


_json_option = click.option("--json", "as_json", is_flag=True, help="The same as --format json.")


@click.command()
@click.argument("target", metavar="PATH|ID|-")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: one verdict, or a list of them for several traces, alone on stdout.",
)
@_json_option
@model_options
def attribute(
    target: str, form: str, as_json: bool, model: str, ground_truth: bool, top_k: int
) -> None:
    """Say which agent and which step made a run fail.

    TARGET is a trace file, a Who&When log, a folder of either, the id of a recorded trace (or a
    part of it, or `latest`), or - for one trace on standard input.
    """
    from agentracer.attribution import Tracer

    traces, store = load(target)
    with usage_errors():
        tracer = Tracer(model, ground_truth=ground_truth, top_k=top_k)
    verdicts, failures = _attribute_all(tracer, traces, store)
    if as_json or form == "json":
        found = [verdict.model_dump(mode="json") for _, verdict in verdicts]
        print_json(found[0] if len(traces) == 1 and found else found)
    else:
        from agentracer.report.terminal import print_verdict

        screen = console()
        for trace, verdict in verdicts:
            print_verdict(verdict, trace, screen)
    _report_failures(failures, len(traces))


def _attribute_all(
    tracer: Tracer, traces: Sequence[Trace], store: Store | None
) -> tuple[list[tuple[Trace, Verdict]], list[str]]:
    verdicts: list[tuple[Trace, Verdict]] = []
    failures: list[str] = []
    for trace in traces:
        try:
            verdict = tracer.attribute(trace)
        except AgentracerError as error:
            failures.append(f"{trace.id}: {error}")
            continue
        verdicts.append((trace, verdict))
        if store is not None:
            store.save_verdict(verdict)
    return verdicts, failures


def _report_failures(failures: Sequence[str], total: int) -> None:
    for failure in failures:
        say(f"error: {failure}")
    if failures:
        sys.exit(PARTLY_DONE if len(failures) < total else BAD_INPUT)


@click.command()
@click.argument("target", metavar="ID|PATH|-", default="latest")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to write it."
)
@model_options
def report(target: str, output: Path | None, model: str, ground_truth: bool, top_k: int) -> None:
    """Write a trace and its verdict as one self-contained HTML page."""
    from agentracer.attribution import Tracer
    from agentracer.report import html

    traces, store = load(target)
    if len(traces) != 1:
        fail(f"{target} holds {len(traces)} traces; a report shows one")
    trace = traces[0]
    verdict = store.load_verdict(trace.id) if store is not None else None
    if verdict is None:
        with usage_errors():
            tracer = Tracer(model, ground_truth=ground_truth, top_k=top_k)
        verdict = tracer.attribute(trace)
    path = output or Path(f"{trace.id}.html")
    click.echo(html.write(path, trace, verdict))
