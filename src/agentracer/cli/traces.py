"""What is in the store: `list`, `show`, `import-otel`, `export`."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agentracer.cli._io import console, fail, load, print_json, say, skipped
from agentracer.cli.lifecycle import DURATION, format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentracer.report.terminal import TraceRow
    from agentracer.store import Summary
    from agentracer.store.search import OutcomeName, SortKey
    from agentracer.trace import Trace

_ROWS_FROM_STEPS = 5_000  # in a longer run each step is printed as one line of JSON
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


class _StepRange(click.ParamType[range]):
    """A range of steps: `10-20` (both included), `7`, `100-` (to the end)."""

    name = "steps"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the range."""
        if isinstance(value, range):
            return value
        match = re.fullmatch(r"(\d{1,12})(?:(-)(\d{1,12})?)?", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no range of steps; write 10-20, 7 or 100-", param, ctx)
        first = int(match[1])
        last = int(match[3]) if match[3] else sys.maxsize - 1 if match[2] else first
        return range(first, last + 1)


@click.command()
@click.argument("target", metavar="ID|PATH|-", default="latest")
@click.option(
    "--steps",
    type=_StepRange(),
    metavar="FIRST-LAST",
    help="Only these steps, such as 10-20, 7, or 0- for all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole trace as JSON.")
def show(target: str, steps: range | None, as_json: bool) -> None:
    """Show a trace step by step, with its latest verdict.

    Long texts are cut, and of a run of more than 2,000 steps the middle is left out; what is cut
    is counted. --json has everything.
    """
    from agentracer.report.terminal import print_trace, print_verdict

    traces, store = load(target)
    if as_json:
        _print_documents(traces)
        return
    screen = console()
    for trace in traces:
        verdict = store.load_verdict(trace.id) if store is not None else None
        print_trace(trace, screen, verdict, steps=steps)
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
    help="json is our own, with each step on one line in a run of more than 5,000 steps; atif is "
    "the Agent Trajectory Interchange Format v1.7.",
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
        _print_documents(traces)
        return
    print_json(documents[0] if len(documents) == 1 else documents)


def _print_documents(traces: Sequence[Trace]) -> None:
    """Print traces in our own format; each step of a long one on one line."""
    documents = [trace.to_data() for trace in traces]
    many = len(documents) != 1
    long = max((len(trace.steps) for trace in traces), default=0) > _ROWS_FROM_STEPS
    levels = (4 if many else 3) if long else None
    print_json(documents if many else documents[0], rows=levels)
