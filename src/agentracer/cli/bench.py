"""`agentracer bench`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agentracer.cli._io import (
    console,
    fail,
    print_json,
    progress_bar,
    say,
    usage_errors,
)
from agentracer.cli._laboratory import laboratory
from agentracer.cli.attribution import model_options

if TYPE_CHECKING:
    from agentracer.attribution import Tracer
    from agentracer.lab.bench import BenchmarkReport

__all__ = ["bench"]


def _output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--out",
            "folder",
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder for table, JSON, markdown and plots.",
        ),
        click.option(
            "--json",
            "output",
            type=click.Path(path_type=Path, allow_dash=True),
            metavar="FILE",
            help="Everything, per-trace predictions included, as JSON; - for stdout alone.",
        ),
        click.option(
            "--scorer",
            type=click.Choice(["strict", "official"]),
            default="strict",
            show_default=True,
            help="official: the substring test of the benchmark's authors, defects included.",
        ),
    ):
        command = option(command)
    return command


@click.group()
def bench() -> None:
    """Measure a tracer on labelled failures, with the trivial rules beside it."""


@bench.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--predictions",
    type=click.Path(path_type=Path),
    help="Score predictions that were made elsewhere, in place of a tracer.",
)
@_output_options
@model_options
def whowhen(
    directory: Path,
    predictions: Path | None,
    output: Path | None,
    folder: Path | None,
    scorer: str,
    tracer: Tracer,
) -> None:
    """Strict agent and step accuracy on a folder of Who&When logs."""
    with laboratory("`agentracer bench`"):
        from agentracer.lab import bench as benchmark

    with usage_errors(), progress_bar("attributing") as progress:
        if predictions is not None:
            result = benchmark.score_predictions(directory, predictions, scorer=scorer)
        else:
            result = benchmark.run(directory, tracer, scorer=scorer, progress=progress)
    _show(result, output, folder)


@bench.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--split", type=click.Choice(["train", "test"]), help="Only these rows.")
@_output_options
@model_options
def tracertraj(
    file: Path,
    split: str | None,
    output: Path | None,
    folder: Path | None,
    scorer: str,
    tracer: Tracer,
) -> None:
    """The same on TracerTraj rows, ours or the public ones; injected and natural apart."""
    with laboratory("`agentracer bench`"):
        from agentracer.lab import bench as benchmark

    with usage_errors(), progress_bar("attributing") as progress:
        result = benchmark.tracertraj.run(
            file, tracer, split=split, scorer=scorer, progress=progress
        )
    _show(result, output, folder)


@bench.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--limit", type=click.IntRange(1), help="How many logs.")
@click.option("--placement-seed", default=0, show_default=True, help="Where the lines go.")
@click.option("--json", "as_json", is_flag=True, help="JSON alone on stdout.")
@model_options
def injection(
    directory: Path, limit: int | None, placement_seed: int, as_json: bool, tracer: Tracer
) -> None:
    """How often lines such as "the error is by X" in a log turn the verdict."""
    with laboratory("`agentracer bench`"):
        from agentracer.lab.bench import injection as benchmark

    with usage_errors(), progress_bar("attacking") as progress:
        result = benchmark.run(
            directory, tracer, seed=placement_seed, limit=limit, progress=progress
        )
    if as_json:
        print_json(benchmark.as_dict(result))
    else:
        console().print(benchmark.render(result))


@bench.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--methods",
    default="all-at-once,binary-search,step-by-step",
    show_default=True,
    help="Which, with commas between.",
)
@click.option(
    "--tokenizer",
    type=click.Path(exists=True, path_type=Path),
    help="A tokenizer.json to count with; four bytes are one token without.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON alone on stdout.")
@model_options
def cost(
    directory: Path, methods: str, tokenizer: Path | None, as_json: bool, tracer: Tracer
) -> None:
    """Calls and tokens per run of a language model's methods, on a folder of Who&When logs.

    With no language model as --model, nothing is asked: it counts what each method would send, in
    its worst case (no step is blamed).
    """
    from agentracer.attribution.judge import LanguageModelBackend
    from agentracer.attribution.language_models.counting import CountingModel

    with laboratory("`agentracer bench`"):
        from agentracer.lab.bench import cost as benchmark

    judge = tracer.backend
    if not isinstance(judge, LanguageModelBackend):
        judge = LanguageModelBackend(CountingModel(tokenizer))
    elif tokenizer is not None:
        fail("--tokenizer counts without a model; leave out --model")
    names = [name.strip() for name in methods.split(",")]
    with usage_errors(), progress_bar("attributing") as progress:
        costs = benchmark.run(
            directory, judge, names, ground_truth=tracer.ground_truth, progress=progress
        )
    if as_json:
        print_json(benchmark.as_dict(costs))
    else:
        console().print(benchmark.render(costs, model=judge.name))


def _show(result: BenchmarkReport, output: Path | None, folder: Path | None) -> None:
    with laboratory("`agentracer bench`"):
        from agentracer.lab import bench as benchmark
    from agentracer.store import write_atomically

    if folder is not None:
        benchmark.write_folder([result], folder)
        say(f"written to {folder}")
    if output is not None and str(output) == "-":
        print_json(benchmark.as_dict(result))
        return
    if output is not None:
        write_atomically(output, json.dumps(benchmark.as_dict(result), indent=2) + "\n")
        say(f"written to {output}")
    screen = console()
    screen.print(benchmark.render(result, width=screen.width))
