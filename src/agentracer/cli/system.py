"""`agentracer doctor` and `agentracer demo`."""

from __future__ import annotations

from pathlib import Path

import click

from agentracer.cli._io import console, print_json
from agentracer.cli._laboratory import laboratory
from agentracer.escaping import escape_control_chars

__all__ = ["demo", "doctor"]


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
