"""`agentracer bench`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from agentracer.cli._io import console, print_json, progress_bar, say, usage_errors
from agentracer.cli.attribution import model_options

__all__ = ["bench"]


@click.group()
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
@model_options
def whowhen(
    directory: Path, output: Path | None, model: str, ground_truth: bool, top_k: int
) -> None:
    """Strict agent and step accuracy on a folder of Who&When logs."""
    from agentracer import bench as benchmark
    from agentracer.attribution import Tracer
    from agentracer.store import write_atomically

    with usage_errors():
        tracer = Tracer(model, ground_truth=ground_truth, top_k=top_k)
    with progress_bar("attributing") as progress:
        result = benchmark.run(directory, tracer, progress=progress)
    if output is not None and str(output) == "-":
        print_json(benchmark.as_dict(result))
        return
    if output is not None:
        write_atomically(output, json.dumps(benchmark.as_dict(result), indent=2) + "\n")
        say(f"written to {output}")
    console().print(benchmark.render(result))
