"""`agentracer collect`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from agentracer.cli._io import PARTLY_DONE, fail, progress_bar, say, usage_errors
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
@click.option("--natural", is_flag=True, help="Run ordinary teams on a real model instead.")
@click.option("--base-url", help="With --natural: the OpenAI-compatible endpoint, /v1 included.")
@click.option("--model", help="With --natural: the name of the model there.")
@click.option("--systems", multiple=True, help="With --natural: teams by name; default: all.")
@click.option("--tasks", multiple=True, help="With --natural: ids or kinds; default: all.")
@click.option(
    "--tools",
    type=click.Choice(["server", "text"]),
    help="With --natural: how the model calls tools, by the server's support or as text.",
)
@click.option(
    "--temperature", type=click.FloatRange(0), help="With --natural: of the model; default 0.7."
)
@click.option(
    "--max-tokens", type=click.IntRange(1), help="With --natural: of one reply; default 300."
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
    natural: bool,
    base_url: str | None,
    model: str | None,
    systems: tuple[str, ...],
    tasks: tuple[str, ...],
    tools: str | None,
    temperature: float | None,
    max_tokens: int | None,
) -> None:
    """Make labelled failures (TracerTraj) with the testbed's scripted teams.

    Runs teams, labels the runs that fail by counterfactual replay, and injects faults into those
    that succeed. Run again with the same folder, it continues where it stopped.

    With --natural, teams with ordinary prompts run on the model at --base-url, and their failures
    and successes are kept without labels. Its API key is read from AGENTRACER_API_KEY.
    """
    if natural:
        if domain or framework or topology or workers or data is not None or engine != "local":
            fail(
                "--domain, --framework, --topology, --engine, --workers, --data: not with --natural"
            )
        if not base_url or not model:
            fail("--natural needs --base-url and --model")
        sampling = {"temperature": temperature, "max_tokens": max_tokens}
        _collect_natural(
            {"base_url": base_url, "model": model, **sampling},
            {"systems": systems, "tasks": tasks, "tools": tools or "server"},
            n=n,
            out=out,
            seed=seed,
        )
        return
    if base_url or model or systems or tasks or tools or temperature is not None or max_tokens:
        fail(
            "--base-url, --model, --systems, --tasks, --tools, --temperature and --max-tokens are "
            "for --natural"
        )
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


def _collect_natural(
    endpoint: dict[str, Any], chosen: dict[str, Any], *, n: int, out: Path, seed: int
) -> None:
    """Collect runs of a real model; None in `endpoint` stands for the default."""
    with laboratory("`agentracer collect`"):
        from agentracer.lab.natural.collection import ROWS, collect_natural
        from agentracer.lab.natural.endpoint import Endpoint

    settings = {name: value for name, value in endpoint.items() if value is not None}
    if key := os.environ.get("AGENTRACER_API_KEY"):
        settings["api_key"] = key
    with usage_errors(), progress_bar("collecting") as progress:
        outcomes = collect_natural(
            Endpoint(**settings), n=n, out=out, seed=seed, progress=progress, **chosen
        )
    click.echo(f"{n} run{'s' * (n > 1)} without labels in {out / ROWS}")
    say("runs by outcome: " + ", ".join(f"{k} {v}" for k, v in sorted(outcomes.items())))
