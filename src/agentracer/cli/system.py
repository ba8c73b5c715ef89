"""`agentracer doctor`, `agentracer demo` and `agentracer validate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentracer.cli._io import console, fail, print_json
from agentracer.cli._laboratory import laboratory
from agentracer.escaping import escape_control_chars

if TYPE_CHECKING:
    from agentracer.lab.validation import Result

__all__ = ["demo", "doctor", "validate"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON list on stdout.")
def doctor(as_json: bool) -> None:
    """Check this installation: versions, frameworks, store."""
    from dataclasses import asdict

    from agentracer.doctor import examine

    checks = list(examine())
    if as_json:
        print_json([asdict(check) for check in checks])
        return
    marks = {"ok": "ok ", "info": "-  ", "warning": "!! "}
    for check in checks:
        text = escape_control_chars(check.text)
        click.echo(f"{marks[check.level]} {check.subject}: {text}")
        if check.remedy:
            click.echo(f"    remedy: {check.remedy}")


@click.command()
@click.option(
    "--seed", default=0, show_default=True, help="Selects the tasks and the injected mistakes."
)
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
    with laboratory("`agentracer demo`"):
        from agentracer.lab.demo import run_demo

    run_demo(seed=seed, model=model, base_url=base_url, output=output, console=console())


@click.command()
@click.option("--framework", multiple=True, help="langgraph, autogen or camel; default: all.")
@click.option("--controls", default=21, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True, help="Selects problems, faults and chance.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def validate(framework: tuple[str, ...], controls: int, seed: int, as_json: bool) -> None:
    """Hold the proof by replay to planted faults, and to controls without a decisive step.

    Offline, with a scripted model that errs at random. Exit status 1 if the planted step was named
    in less than 80 %, or a step was confirmed in more than one control.
    """
    with laboratory("`agentracer validate`"):
        from agentracer.lab.testbed.systems import FRAMEWORKS
        from agentracer.lab.validation import validate as run_validation

    unknown = sorted(set(framework) - set(FRAMEWORKS))
    if unknown:
        fail(f"--framework {unknown[0]}: choose from {', '.join(FRAMEWORKS)}")
    result = run_validation(
        frameworks=framework or None,
        count=controls,
        seed=seed,
        on_result=None if as_json else _print_result,
    )
    if as_json:
        print_json(result.to_json())
    else:
        click.echo()
        for line in result.lines():
            click.echo(line)
    if not result.holds:
        sys.exit(1)


def _print_result(result: Result) -> None:
    named = "no step" if result.named is None else f"step {result.named}"
    status = f", {result.status}" if result.status else ""
    truth = "" if result.planted is None else f"; planted: step {result.planted}"
    line = f"{result.kind:<8} {result.name:<36} {named}{status}{truth} ({result.replays} replays)"
    click.echo(escape_control_chars(line))
