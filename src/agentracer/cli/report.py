"""`agentracer report`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agentracer.cli._io import PARTLY_DONE, fail, load, progress_bar, say
from agentracer.cli.attribution import model_options

if TYPE_CHECKING:
    from agentracer.attribution import Tracer
    from agentracer.report.index import RunEntry
    from agentracer.store import Store
    from agentracer.trace import Trace
    from agentracer.verdict import Verdict

__all__ = ["report"]


@click.command()
@click.argument("targets", metavar="[ID|PATH|-]...", nargs=-1)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; default: ID.html, or runs.html for several runs.",
)
@click.option("--open", "open_it", is_flag=True, help="Open it in the browser.")
@model_options
def report(targets: tuple[str, ...], output: Path | None, open_it: bool, tracer: Tracer) -> None:
    """Write runs and their verdicts as one self-contained HTML page.

    For one run, the page of that run. For several, a list with counts by agent and by failure that
    links to every run inside the same file. For the JSON report of an evolution, its rounds.
    Without an argument: the latest recorded run.
    """
    problems: list[str] = []
    evolution = _evolution(targets)
    if evolution is not None:
        path = _write_evolution(evolution, output or Path(targets[0]).with_suffix(".html"))
    else:
        loaded = [load(target) for target in targets or ("latest",)]
        runs = [run for traces, store in loaded for run in _runs(traces, store, tracer)]
        problems = [f"{run.trace.id}: {run.problem}" for run in runs if run.problem]
        if len(problems) == len(runs):
            fail("\n".join(problems) or f"{', '.join(targets)}: no trace in it")
        path = _write(runs, output)
    click.echo(path)
    if open_it:
        click.launch(path.resolve().as_uri())
    for problem in problems:
        say(f"error: {problem}")
    if problems:
        sys.exit(PARTLY_DONE)


def _runs(traces: Sequence[Trace], store: Store | None, tracer: Tracer) -> list[RunEntry]:
    """Pair the traces with their saved or else new verdicts, and with their replays."""
    from agentracer.report import replays
    from agentracer.report.index import RunEntry

    kept = {t.id: store.load_verdict(t.id) for t in traces} if store is not None else {}
    open_ = [trace for trace in traces if kept.get(trace.id) is None]
    made: dict[int, tuple[Verdict | None, str]] = {}
    with progress_bar("attributing") as progress:
        for result in tracer.attribute_many(open_, progress=lambda n, _: progress(n, len(open_))):
            made[id(open_[result.index])] = (result.verdict, str(result.error or ""))
    runs = []
    for trace in traces:
        verdict, problem = made.get(id(trace), (kept.get(trace.id), ""))
        runs.append(RunEntry(trace, verdict, replays.load_replays(trace, verdict, store), problem))
    return runs


def _write(runs: Sequence[RunEntry], output: Path | None) -> Path:
    from agentracer.report import html, index

    if len(runs) > 1:
        return index.write(output or Path("runs.html"), runs)
    run = runs[0]
    return html.write(output or Path(f"{run.trace.id}.html"), run.trace, run.verdict, run.replays)


def _evolution(targets: Sequence[str]) -> dict[str, Any] | None:
    """Return the content of the only target if it is the report of an evolution."""
    if len(targets) != 1 or not targets[0].endswith(".json") or not Path(targets[0]).is_file():
        return None
    try:
        data = json.loads(Path(targets[0]).read_bytes())
    except ValueError:
        return None
    is_evolution = isinstance(data, dict) and {"rounds", "first", "strategy"} <= set(data)
    return data if is_evolution else None


def _write_evolution(data: dict[str, Any], path: Path) -> Path:
    from agentracer.report import evolution

    return evolution.write(path, data)
