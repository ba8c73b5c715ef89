"""What is in the store: `list`, `show`, `import-otel`, `export`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agentracer.cli._io import console, fail, load, print_json, say, skipped
from agentracer.cli.lifecycle import DURATION, format_size

if TYPE_CHECKING:
    from agentracer.report.terminal import TraceRow
    from agentracer.store import Summary
    from agentracer.store.search import OutcomeName, SortKey

_OUTCOMES = ["failed", "succeeded", "unknown", "unfinished"]

__all__ = ["export_trace", "import_otel", "list_traces", "show"]


@click.command("list")
@click.option(
    "-n",
    "limit",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="How many traces, newest first.",
)
@click.option("--failed", is_flag=True, help="Only runs that failed: --outcome failed.")
@click.option("--outcome", type=click.Choice(_OUTCOMES), help="Only runs with this outcome.")
@click.option("--framework", help="Only runs of this framework.")
@click.option("--agent", help="Only runs in which an agent of this name took part.")
@click.option("--since", type=DURATION, help="Only runs started within this time, such as 7d.")
@click.option("--text", help="Only runs whose recorded text contains this, in any case.")
@click.option(
    "--sort", type=click.Choice(["time", "size", "steps"]), default="time", show_default=True
)
@click.option("--replays", is_flag=True, help="Also list replays.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_traces(
    limit: int, failed: bool, outcome: OutcomeName | None, since: float | None, sort: SortKey,
    as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """List recorded traces, newest first. Replays are left out unless --replays is given.

    Files that cannot be read are named, and the exit status is 3.
    """
    from dataclasses import asdict
    from itertools import islice

    from agentracer.report.terminal import print_traces
    from agentracer.store import Store
    from agentracer.store.search import Filter, sort_summaries

    store = Store()
    problems: list[str] = []
    start = None if since is None else time.time() - since
    chosen_by = Filter(outcome="failed" if failed else outcome, since=start, **options)
    matching = (
        summary
        for summary in store.summaries(problems)
        if chosen_by.matches(summary, store.journal_path(summary.id))
    )
    if sort == "time":
        chosen = list(islice(matching, limit))
    else:
        chosen = sort_summaries(list(matching), sort)[:limit]
    if as_json:
        print_json([asdict(summary) for summary in chosen])
    else:
        print_traces((_row(summary) for summary in chosen), console())
    skipped(problems)
    if not chosen:
        recorded = next(iter(store.summaries()), None) is not None
        say(f"no trace {'matches' if recorded else 'is recorded'} in {store.home}")


def _row(summary: Summary) -> TraceRow:
    from agentracer.report import formatting
    from agentracer.report.terminal import TraceRow
    from agentracer.trace import Outcome

    result = Outcome(success=summary.success, ending=summary.ending)
    outcome = formatting.outcome(result, forked=summary.forked)
    return TraceRow(
        id=summary.id,
        started_at=summary.started_at,
        framework=summary.framework,
        steps=summary.steps,
        outcome=outcome,
        task=summary.task,
        size=format_size(summary.size),
    )


@click.command()
@click.argument("target", metavar="ID|PATH|-", default="latest")
@click.option("--json", "as_json", is_flag=True, help="Print the whole trace as JSON.")
def show(target: str, as_json: bool) -> None:
    """Show a trace step by step, with its latest verdict."""
    from agentracer.report.terminal import print_trace, print_verdict

    traces, store = load(target)
    if as_json:
        documents = [json.loads(trace.to_json()) for trace in traces]
        print_json(documents[0] if len(documents) == 1 else documents)
        return
    screen = console()
    for trace in traces:
        verdict = store.load_verdict(trace.id) if store is not None else None
        print_trace(trace, screen, verdict)
        if verdict is not None:
            print_verdict(verdict, trace, screen)


@click.command("import-otel")
@click.argument("file", metavar="FILE|-")
def import_otel(file: str) -> None:
    """Import the runs in a file of OpenTelemetry spans (OTLP JSON) into the store.

    Reads the GenAI and OpenInference conventions, current and older ones. Imported traces can be
    attributed, but not replayed. Prints their ids.
    """
    from agentracer.formats import Source, otel
    from agentracer.store import Store

    source = Source(Path(file), sys.stdin.buffer.read() if file == "-" else None)
    if not otel.accepts(source):
        fail(f"{file}: no OpenTelemetry spans in OTLP JSON\n  remedy: export them as OTLP JSON")
    store = Store()
    for trace in otel.traces_in(source):
        click.echo(store.add(trace))


@click.command("export")
@click.argument("target", metavar="ID|PATH|-", default="latest")
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "atif", "whowhen"]),
    default="json",
    show_default=True,
    help="json is our own; atif is the Agent Trajectory Interchange Format v1.7.",
)
def export_trace(target: str, form: str) -> None:
    """Write traces to stdout in another format."""
    from agentracer.formats import atif, whowhen

    traces, store = load(target)
    verdicts = [store.load_verdict(trace.id) if store is not None else None for trace in traces]
    if form == "atif":
        documents = [atif.to_atif(t, verdict) for t, verdict in zip(traces, verdicts, strict=True)]
    elif form == "whowhen":
        documents = [whowhen.to_whowhen(trace) for trace in traces]
    else:
        documents = [json.loads(trace.to_json()) for trace in traces]
    print_json(documents[0] if len(documents) == 1 else documents)
