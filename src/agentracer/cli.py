"""The command line: `agentracer COMMAND`.

Results go to stdout, everything else to stderr. Exit status: 0 done, 2 usage or bad input (nothing
was done), 3 partly done (stderr says what is missing). A run that failed is not an error: finding
out why is what the command is for.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from rich.console import Console

from agentracer._version import __version__
from agentracer.errors import AgentracerError, TraceNotFound
from agentracer.report.untrusted import visible

if TYPE_CHECKING:
    from agentracer.attribution import Tracer
    from agentracer.report.terminal import TraceRow
    from agentracer.store import Store, Summary
    from agentracer.trace import Trace
    from agentracer.verdict import Verdict

__all__ = ["main"]

BAD_INPUT = 2
PARTLY_DONE = 3


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="agentracer")
def cli() -> None:
    """Which agent, and which step, made this multi-agent LLM run fail?

    Exit status: 0 done, 2 usage or bad input, 3 partly done.
    """


def main() -> None:
    """Entry point: turns errors into messages and exit statuses."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an ASCII pipe shows what it cannot encode
            stream.reconfigure(errors="backslashreplace")
    try:
        cli()
    except AgentracerError as error:
        _fail(str(error))
    except BrokenPipeError:  # the reader of a pipe has seen enough
        sys.stderr.close()
        sys.exit(0)


# -- attribution


def _model_options(command: Callable[..., Any]) -> Callable[..., Any]:
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


@cli.command()
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
@_model_options
def attribute(
    target: str, form: str, as_json: bool, model: str, ground_truth: bool, top_k: int
) -> None:
    """Say which agent and which step made a run fail.

    TARGET is a trace file, a Who&When log, a folder of either, the id of a recorded trace (or a
    part of it, or `latest`), or - for one trace on standard input.
    """
    from agentracer.attribution import Tracer

    traces, store = _load(target)
    with _usage_errors():
        tracer = Tracer(model, ground_truth=ground_truth, top_k=top_k)
    verdicts, failures = _attribute_all(tracer, traces, store)
    if as_json or form == "json":
        found = [verdict.model_dump(mode="json") for _, verdict in verdicts]
        _print_json(found[0] if len(traces) == 1 and found else found)
    else:
        from agentracer.report.terminal import print_verdict

        console = _console()
        for trace, verdict in verdicts:
            print_verdict(verdict, trace, console)
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
        _say(f"error: {failure}")
    if failures:
        sys.exit(PARTLY_DONE if len(failures) < total else BAD_INPUT)


# -- the store


@cli.command("list")
@click.option("-n", "limit", default=50, show_default=True, help="How many, newest first.")
@click.option("--failed", is_flag=True, help="Only runs that failed.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list on stdout.")
def list_traces(limit: int, failed: bool, as_json: bool) -> None:
    """List recorded traces, newest first."""
    from dataclasses import asdict
    from itertools import islice

    from agentracer.report.terminal import print_traces
    from agentracer.store import Store

    store = Store()
    summaries = (s for s in store.summaries() if not failed or s.success is False)
    chosen = list(islice(summaries, limit))
    if as_json:
        _print_json([asdict(summary) for summary in chosen])
    else:
        print_traces((_row(summary) for summary in chosen), _console())
    if not chosen:
        _say(f"nothing recorded in {store.home}")


def _row(summary: Summary) -> TraceRow:
    from agentracer.report import wording
    from agentracer.report.terminal import TraceRow
    from agentracer.trace import Outcome

    outcome = wording.outcome(Outcome(success=summary.success, ending=summary.ending))
    return TraceRow(
        id=summary.id,
        started_at=summary.started_at,
        framework=summary.framework,
        steps=summary.steps,
        outcome=outcome,
        task=summary.task,
    )


@cli.command()
@click.argument("target", metavar="ID|PATH|-", default="latest")
@click.option("--json", "as_json", is_flag=True, help="The whole trace as JSON on stdout.")
def show(target: str, as_json: bool) -> None:
    """Show one trace, step by step, with its latest verdict."""
    from agentracer.report.terminal import print_trace, print_verdict

    traces, store = _load(target)
    if as_json:
        found = [json.loads(trace.to_json()) for trace in traces]
        _print_json(found[0] if len(found) == 1 else found)
        return
    console = _console()
    for trace in traces:
        verdict = store.load_verdict(trace.id) if store is not None else None
        print_trace(trace, console, verdict)
        if verdict is not None:
            print_verdict(verdict, trace, console)


@cli.command()
@click.argument("target", metavar="ID|PATH|-", default="latest")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to write it."
)
@_model_options
def report(target: str, output: Path | None, model: str, ground_truth: bool, top_k: int) -> None:
    """Write a trace and its verdict as one self-contained HTML page."""
    from agentracer.attribution import Tracer
    from agentracer.report import html

    traces, store = _load(target)
    if len(traces) != 1:
        _fail(f"{target} holds {len(traces)} traces; a report shows one")
    trace = traces[0]
    verdict = store.load_verdict(trace.id) if store is not None else None
    if verdict is None:
        with _usage_errors():
            tracer = Tracer(model, ground_truth=ground_truth, top_k=top_k)
        verdict = tracer.attribute(trace)
    path = output or Path(f"{trace.id}.html")
    click.echo(html.write(path, trace, verdict))


@cli.command("import-otel")
@click.argument("file", metavar="FILE|-")
def import_otel(file: str) -> None:
    """Keep the runs in a file of OpenTelemetry spans (OTLP JSON) as traces of the store.

    GenAI and OpenInference conventions, current and older ones. Such traces can be attributed, but
    not replayed. Prints their ids.
    """
    from agentracer.formats import Source, otel
    from agentracer.store import Store

    source = Source(Path(file), sys.stdin.buffer.read() if file == "-" else None)
    if not otel.accepts(source):
        _fail(f"{file}: no OpenTelemetry spans in OTLP JSON\n  remedy: export them as OTLP JSON")
    store = Store()
    for trace in otel.traces_in(source):
        click.echo(store.add(trace))


@cli.command("export")
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

    traces, store = _load(target)
    verdicts = [store.load_verdict(trace.id) if store is not None else None for trace in traces]
    if form == "atif":
        found = [atif.to_atif(t, verdict) for t, verdict in zip(traces, verdicts, strict=True)]
    elif form == "whowhen":
        found = [whowhen.to_whowhen(trace) for trace in traces]
    else:
        found = [json.loads(trace.to_json()) for trace in traces]
    _print_json(found[0] if len(found) == 1 else found)


# -- benchmarks


@cli.group()
def bench() -> None:
    """Measure a tracer on labelled failures, with the trivial rules beside it."""


@bench.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--json",
    "output",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Also write everything, per-trace predictions included, as JSON; - for stdout.",
)
@_model_options
def whowhen(
    directory: Path, output: Path | None, model: str, ground_truth: bool, top_k: int
) -> None:
    """Strict agent and step accuracy on a folder of Who&When logs."""
    from agentracer import bench as benchmark
    from agentracer.attribution import Tracer
    from agentracer.store import write_atomically

    with _usage_errors():
        tracer = Tracer(model, ground_truth=ground_truth, top_k=top_k)
    with _progress("attributing") as progress:
        result = benchmark.run(directory, tracer, progress=progress)
    if output is not None and str(output) == "-":
        _print_json(benchmark.as_dict(result))
        return
    if output is not None:
        write_atomically(output, json.dumps(benchmark.as_dict(result), indent=2) + "\n")
        _say(f"written to {output}")
    _console().print(benchmark.render(result))


# -- the rest


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON list on stdout.")
def doctor(as_json: bool) -> None:
    """Check this installation: versions, frameworks, store."""
    from dataclasses import asdict

    from agentracer.doctor import examine

    findings = list(examine())
    if as_json:
        _print_json([asdict(finding) for finding in findings])
        return
    marks = {"ok": "ok ", "info": "-  ", "warning": "!! "}
    for finding in findings:
        click.echo(f"{marks[finding.level]} {finding.subject}: {visible(finding.text)}")
        if finding.remedy:
            click.echo(f"    remedy: {finding.remedy}")


@cli.command()
@click.option("--seed", default=0, show_default=True, help="Which tasks, and which mistakes.")
@click.option("--model", default="scripted", show_default=True, help="The model's name.")
@click.option(
    "--base-url",
    envvar="OPENAI_BASE_URL",
    help="A real OpenAI-compatible server in place of the scripted model [env OPENAI_BASE_URL].",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("agentracer-demo"),
    show_default=True,
    help="Folder for the report.",
)
def demo(seed: int, model: str, base_url: str | None, output: Path) -> None:
    """Run a real LangGraph team that fails; capture, attribute, verify by replay, report."""
    from agentracer.demo import run_demo

    run_demo(seed=seed, model=model, base_url=base_url, output=output, console=_console())


# -- input, output, errors


def _load(target: str) -> tuple[list[Trace], Store | None]:
    """The traces that an argument names, and the store if they are recorded ones."""
    from agentracer.formats import load_any, load_text
    from agentracer.store import Store

    if target == "-":
        return load_text(sys.stdin.buffer.read()), None
    if Path(target).exists():
        return load_any(target), None
    store = Store()
    try:
        return [store.load(target)], store
    except TraceNotFound as error:
        _fail(f"{error}; nor is there a file or folder of this name")


def _console() -> Console:
    """Standard output: styled on a terminal; wide and plain in a pipe or under NO_COLOR."""
    width = None if sys.stdout.isatty() else 160
    return Console(highlight=False, emoji=False, markup=False, width=width)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))


def _say(text: str) -> None:
    click.echo("\n".join(visible(line) for line in text.splitlines()), err=True)


def _fail(text: str) -> NoReturn:
    _say(f"error: {text}")
    sys.exit(BAD_INPUT)


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Values that an option cannot have are usage errors, not tracebacks."""
    try:
        yield
    except ValueError as error:
        if isinstance(error, AgentracerError):
            raise
        _fail(str(error))


@contextmanager
def _progress(verb: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr where that is a terminal."""
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(verb, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
