"""`agentracer attribute` and `agentracer report`."""

from __future__ import annotations

import functools
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
    progress_bar,
    say,
    usage_errors,
)

if TYPE_CHECKING:
    from agentracer.attribution import Tracer
    from agentracer.store import Store
    from agentracer.trace import Trace
    from agentracer.verdict import Verdict

__all__ = ["attribute", "model_options", "report"]


_TRACER_OPTIONS = frozenset(
    {
        *("ground_truth", "top_k", "method", "samples", "token_budget", "seed"),
        *("concurrency", "timeout", "retries"),
    }
)
_MODEL_OPTIONS = (
    click.option("--retries", type=click.IntRange(0), help="Further tries when a server fails."),
    click.option("--timeout", type=float, help="Seconds that a server has for one answer."),
    click.option("--concurrency", type=click.IntRange(1), help="Runs or requests at a time."),
    click.option("--seed", type=int, help="Of labels and samples."),
    click.option("--token-budget", type=int, help="Tokens of a prompt; longer runs in windows."),
    click.option(
        "--samples", type=click.IntRange(1), help="Answers drawn; agreement is confidence."
    ),
    click.option(
        "--method",
        help="How a language model is asked: all-at-once, step-by-step, binary-search, windowed, "
        "rerank, prefill.",
    ),
    click.option("--top-k", default=5, show_default=True, help="Length of the shortlist."),
    click.option(
        "--ground-truth",
        "--with-ground-truth",
        is_flag=True,
        help="Show the tracer the right answer (w/ G); the traces must have one.",
    ),
    click.option(
        "--model",
        default="embedded",
        show_default=True,
        metavar="SPEC",
        help="Who attributes: embedded, embedded:PATH, openai:MODEL@URL, vllm:PATH, "
        "transformers:PATH, embedded+openai:MODEL@URL ...",
    ),
)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say who attributes, and how; given to the command as one `tracer`."""

    @functools.wraps(command)
    def with_tracer(model: str, **values: Any) -> Any:
        from agentracer.attribution import Tracer

        own = {name: values.pop(name) for name in list(values) if name not in _TRACER_OPTIONS}
        with usage_errors():
            tracer = Tracer(model, **values)
        return command(tracer=tracer, **own)

    wrapped: Callable[..., Any] = with_tracer
    for option in _MODEL_OPTIONS:
        wrapped = option(wrapped)
    return wrapped


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
def attribute(target: str, form: str, as_json: bool, tracer: Tracer) -> None:
    """Say which agent and which step made a run fail.

    TARGET is a trace file, a Who&When log, a folder of either, the id of a recorded trace (or a
    part of it, or `latest`), or - for one trace on standard input.
    """
    traces, store = load(target)
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
    """Attribute side by side; results in the order of the traces, and what failed apart."""
    verdicts: list[tuple[Trace, Verdict]] = []
    failures: list[str] = []
    with progress_bar("attributing") as progress:
        done = tracer.attribute_many(traces, progress=lambda n, _: progress(n, len(traces)))
        for result in sorted(done, key=lambda result: result.index):
            if result.verdict is None:
                failures.append(f"{result.trace.id}: {result.error}")
                continue
            verdicts.append((result.trace, result.verdict))
            if store is not None:
                store.save_verdict(result.verdict)
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
def report(target: str, output: Path | None, tracer: Tracer) -> None:
    """Write a trace and its verdict as one self-contained HTML page."""
    from agentracer.report import html

    traces, store = load(target)
    if len(traces) != 1:
        fail(f"{target} holds {len(traces)} traces; a report shows one")
    trace = traces[0]
    verdict = store.load_verdict(trace.id) if store is not None else None
    if verdict is None:
        verdict = tracer.attribute(trace)
    path = output or Path(f"{trace.id}.html")
    click.echo(html.write(path, trace, verdict))
