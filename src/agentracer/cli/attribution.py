"""`agentracer attribute`, and the options that configure the tracer."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from agentracer.attribution.methods import METHODS
from agentracer.cli._io import (
    BAD_INPUT,
    PARTLY_DONE,
    fail,
    load,
    progress_bar,
    save_verdict,
    say,
    usage_errors,
)
from agentracer.cli.verification import ProofOptions, system_named, verify_all

if TYPE_CHECKING:
    from agentracer.attribution import Tracer
    from agentracer.store import Store
    from agentracer.trace import Trace
    from agentracer.verdict import Verdict

__all__ = ["attribute", "model_options"]


_TRACER_OPTIONS = frozenset(
    {
        *("ground_truth", "top_k", "method", "samples", "token_budget", "seed"),
        *("answer_tokens", "concurrency", "timeout", "retries", "target_error"),
    }
)
_MODEL_OPTIONS = (
    click.option("--retries", type=click.IntRange(0), help="Retries when a server fails."),
    click.option("--timeout", type=float, help="Seconds to wait for one answer of a server."),
    click.option(
        "--concurrency", type=click.IntRange(1), help="Runs or requests at the same time."
    ),
    click.option(
        "--target-error",
        type=click.FloatRange(0, 1),
        help="Abstain rather than be wrong in more than this share of verdicts (embedded).",
    ),
    click.option("--seed", type=int, help="Seed of step labels in prompts and of samples."),
    click.option("--answer-tokens", type=int, help="Maximum tokens of an answer, with reasoning."),
    click.option(
        "--token-budget",
        type=int,
        help="Maximum tokens of a prompt; longer runs are read in windows.",
    ),
    click.option(
        "--samples",
        type=click.IntRange(1),
        help="Answers to sample; their agreement is the confidence.",
    ),
    click.option(
        "--method",
        help=f"How a language model is asked: {', '.join(METHODS)}.",
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
        help="The tracer: embedded, embedded:PATH, openai:MODEL@URL, vllm:PATH, "
        "transformers:PATH, embedded+openai:MODEL@URL ...",
    ),
)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that configure a tracer; the command receives it as `tracer`."""

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
@click.argument("target", metavar="ID|PATH|-")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "junit", "markdown"]),
    default="text",
    show_default=True,
    help="json: one verdict, or a list of them for several traces. github: annotations, and a "
    "summary in $GITHUB_STEP_SUMMARY. All but text are alone on stdout.",
)
@_json_option
@click.option(
    "--verify",
    is_flag=True,
    help="Prove the verdict by replaying the run: see --system.",
)
@click.option(
    "--system",
    metavar="MODULE:FUNCTION",
    help="For --verify: returns the System that made the trace: replays keep its first steps and "
    "do the rest live. With an oracle, as a pair: the blamed step is corrected instead. "
    "Runs of `agentracer demo` need none.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="For --verify with an oracle: replays of each kind.",
)
@click.option(
    "--runs",
    type=click.IntRange(1),
    help="For --verify without an oracle: most replays; the search goes on there when it is run "
    "again with more.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="For --verify without an oracle: replays at once.",
)
@click.option(
    "--tools",
    metavar="live|recorded|refuse|NAMES",
    help="For --verify without an oracle: which tools replays may run. recorded (the default): "
    "none; calls are answered from the record, and a replay that makes another call does not "
    "count.",
)
@click.option("--yes", is_flag=True, help="For --verify: run tools without asking.")
@model_options
def attribute(
    target: str,
    form: str,
    as_json: bool,
    verify: bool,
    system: str | None,
    repeats: int,
    runs: int | None,
    workers: int,
    tools: str | None,
    yes: bool,
    tracer: Tracer,
) -> None:
    """Say which agent and which step made a run fail.

    ID|PATH|- is a trace file, a Who&When log, a folder of either, the id of a recorded trace (or a
    part of it, or `latest`), or - for one trace on standard input.
    """
    from agentracer.cli._verdicts import print_verdicts

    traces, store = load(target)
    if system is not None and not verify:
        fail("--system is for --verify")
    rebuild = system_named(system)
    verdicts, failures = _attribute_all(tracer, traces, store)
    unproven: list[str] = []
    if verify:
        options = ProofOptions(repeats=repeats, runs=runs, workers=workers, tools=tools, yes=yes)
        verdicts, unproven = verify_all(verdicts, store, rebuild, options)
    print_verdicts("json" if as_json else form, traces, verdicts, failures, target)
    _report_failures(failures, len(traces))
    if unproven:
        for problem in unproven:
            say(f"error: {problem}")
        sys.exit(PARTLY_DONE)


def _attribute_all(
    tracer: Tracer, traces: Sequence[Trace], store: Store | None
) -> tuple[list[tuple[Trace, Verdict]], list[str]]:
    """Attribute concurrently; return results in the order of the traces, and the failures."""
    verdicts: list[tuple[Trace, Verdict]] = []
    failures: list[str] = []
    with progress_bar("attributing") as progress:
        done = tracer.attribute_many(traces, progress=lambda n, _: progress(n, len(traces)))
        for result in sorted(done, key=lambda result: result.index):
            if result.verdict is None:
                reason = str(result.error).removeprefix(f"{result.trace.id}: ")
                failures.append(f"{result.trace.id}: {reason}")
                continue
            verdicts.append((result.trace, result.verdict))
            if store is not None:
                save_verdict(store, result.verdict)
    return verdicts, failures


def _report_failures(failures: Sequence[str], total: int) -> None:
    for failure in failures:
        say(f"error: {failure}")
    if failures:
        sys.exit(PARTLY_DONE if len(failures) < total else BAD_INPUT)
