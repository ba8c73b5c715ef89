"""`agentracer adapt`."""

from __future__ import annotations

from pathlib import Path

import click

from agentracer.cli._io import print_json, usage_errors

__all__ = ["adapt"]


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help='The model file, for `--model "embedded:FILE"`.',
)
def adapt(directory: Path, output: Path) -> None:
    """Fit the embedded tracer to your own labelled traces.

    Prints cross-validated figures before and after, as JSON. Labels come from replay, injection or
    a human; 100 traces of one system are a good number.
    """
    from agentracer.attribution.embedded.fitting.adapt import adapt_directory

    with usage_errors():
        print_json(adapt_directory(directory, output).as_dict())
