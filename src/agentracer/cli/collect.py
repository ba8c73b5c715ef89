"""`agentracer collect`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from agentracer.cli._io import PARTLY_DONE, progress_bar, say, usage_errors
from agentracer.cli._laboratory import laboratory

__all__ = ["collect"]


@click.command()
@click.option(
    "--domain",
    multiple=True,
    help="math, qa or coding; default: all three. sums (one-digit sums) must be named.",
)
@click.option("--framework", multiple=True, help="langgraph, autogen or camel; default: all.")
@click.option("--topology", multiple=True, help="pipeline, hub or review; default: all.")
@click.option(
    "--n",
    required=True,
    type=click.IntRange(1),
    help="Number of runs; a run can give several labelled failures.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write to.")
@click.option("--seed", default=0, show_default=True)
@click.option("--engine", default="local", show_default=True, type=click.Choice(["local", "ray"]))
@click.option("--workers", type=click.IntRange(1), help="Processes; default: one per core.")
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    help="Folder with gsm8k/ and mbppplus/; default: only the problems of agentracer.",
)
def collect(
    domain: tuple[str, ...],
    framework: tuple[str, ...],
    topology: tuple[str, ...],
    n: int,
    out: Path,
    seed: int,
    engine: str,
    workers: int | None,
    data: Path | None,
) -> None:
    """Make labelled failures (TracerTraj) with the testbed's scripted teams.

    Runs teams, labels the runs that fail by counterfactual replay, and injects faults into those
    that succeed. Run again with the same folder, it continues where it stopped.
    """
    with laboratory("`agentracer collect`"):
        from agentracer.lab.collect import collect as run
        from agentracer.lab.testbed.rosters import TOPOLOGIES
        from agentracer.lab.testbed.systems import DOMAINS, FRAMEWORKS

    with usage_errors(), progress_bar("collecting") as progress:
        collection = run(
            domain or DOMAINS,
            framework or FRAMEWORKS,
            topology or TOPOLOGIES,
            n=n,
            out=out,
            seed=seed,
            engine=engine,
            workers=workers,
            data=data,
            progress=lambda done_items, total, _result: progress(done_items, total),
        )
    click.echo(f"{collection.labelled} labelled failures in {collection.folder}")
    outcomes = ", ".join(f"{name} {count}" for name, count in sorted(collection.outcomes.items()))
    say(f"runs by outcome: {outcomes}; failures are also injected into runs that succeeded")
    if collection.outcomes.get("broken"):
        sys.exit(PARTLY_DONE)
