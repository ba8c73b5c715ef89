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
    help="math, qa or coding; all three if not given. sums (one-digit sums) only if named.",
)
@click.option("--framework", multiple=True, help="langgraph, autogen or camel; all if not given.")
@click.option("--topology", multiple=True, help="pipeline, hub or review; all if not given.")
@click.option("--n", required=True, type=click.IntRange(1), help="How many runs.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write to.")
@click.option("--seed", default=0, show_default=True)
@click.option("--engine", default="local", show_default=True, type=click.Choice(["local", "ray"]))
@click.option("--workers", type=click.IntRange(1), help="Processes; as many as cores by default.")
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    help="Folder with gsm8k/ and mbppplus/; our own problems only, if not given.",
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

    Runs teams, labels what fails by counterfactual replay, and makes what succeeds fail by
    injection. Started again with the same folder, it goes on where it stopped.
    """
    with laboratory("`agentracer collect`"):
        from agentracer.lab.collect import collect as run
        from agentracer.lab.testbed.rosters import TOPOLOGIES
        from agentracer.lab.testbed.systems import DOMAINS, FRAMEWORKS

    with usage_errors(), progress_bar("collecting") as progress:
        done = run(
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
    click.echo(f"{done.labelled} labelled failures in {done.folder}")
    say(", ".join(f"{count} {outcome}" for outcome, count in sorted(done.outcomes.items())))
    if done.outcomes.get("broken"):
        sys.exit(PARTLY_DONE)
