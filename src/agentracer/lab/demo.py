"""Run `agentracer demo`: record failing runs, attribute, verify by replay, and write a report.

A real LangGraph team solves coding tasks, and its code is executed. The model behind it is
*scripted* (see `agentracer.lab.testbed`): it answers from the conversation that it is sent, and
sometimes makes a planted mistake, so the demo knows the decisive step of each failure and says
whether the verdict is right. With `base_url` the same team talks to a real model, and the decisive
step is unknown.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

import agentracer
from agentracer.attribution import Tracer
from agentracer.errors import MissingExtra
from agentracer.replay import find_decisive
from agentracer.report import formatting, html, replays
from agentracer.report.success_curve import block
from agentracer.report.terminal import print_verdict
from agentracer.store import Store
from agentracer.trace import Trace
from agentracer.verdict import Verdict

try:
    from agentracer.lab.testbed.coding_policy import CodingPolicy, Mistake
    from agentracer.lab.testbed.coding_team import build, check, solve
    from agentracer.lab.testbed.demo_runs import DemoRun, demo_runs
    from agentracer.lab.testbed.rebuild import fallible_coding_system, rebuild_metadata
    from agentracer.lab.testbed.server import ModelServer
except ModuleNotFoundError as error:
    raise MissingExtra("demo", needed_for=f"the demo (no module {error.name!r})") from error

__all__ = ["run_demo"]

_ERROR_RATE = 0.2  # share of the replays in which the scripted model errs as it did in the run


@dataclass(frozen=True, slots=True)
class _Finished:
    """One run of the team, with what is known of it."""

    scenario: DemoRun
    trace: Trace
    truth: Mistake | None
    verdict: Verdict | None

    @property
    def true_step(self) -> int | None:
        """Where the scripted model really went wrong."""
        if self.truth is None:
            return None
        steps = (s.index for s in self.trace.steps if s.content == self.truth.reply_text)
        return next(steps, None)


def run_demo(
    *, seed: int, model: str, base_url: str | None, output: Path, console: Console
) -> None:
    """Run the team on a few tasks, and go through the first failure in detail.

    Args:
        seed: decides tasks and mistakes.
        model: name of the model; `scripted` unless `base_url` is given.
        base_url: a real OpenAI-compatible server, asked with `OPENAI_API_KEY`.
        output: folder for the report.
        console: where to print.
    """
    agentracer.instrument("langgraph")
    with _endpoint(base_url) as (url, server):
        _introduce(url if base_url else None, model, console)
        team = build(url, model, os.environ.get("OPENAI_API_KEY") or "none")
        finished = []
        for scenario in demo_runs(seed):
            finished.append(_run(team, scenario, server))
            _print_run(finished[-1], console)
        failures = [run for run in finished if run.verdict is not None]
        if not failures:
            console.print("\nNo run failed, so there is nothing to attribute. Try another --seed.")
            return
        first, verdict = failures[0], failures[0].verdict
        if verdict is None:
            raise AssertionError("failed runs have a verdict")
        _explain(first, verdict, console)
        if server is not None:
            verdict = _prove(team, first, server, console)
            Store().save_verdict(verdict)
            _compare(first, verdict, console)
    _summarise(failures, console)
    stored_replays = replays.load_replays(first.trace, verdict, Store())
    page = html.write(output / f"{first.trace.id}.html", first.trace, verdict, stored_replays)
    console.print(f"\nreport  {page.resolve()}", soft_wrap=True)
    console.print(f"traces  {Store().home}  (`agentracer list`, `agentracer show`)", soft_wrap=True)


@contextmanager
def _endpoint(base_url: str | None) -> Iterator[tuple[str, ModelServer | None]]:
    if base_url:
        yield base_url, None
        return
    with ModelServer(CodingPolicy(0)) as server:
        yield server.base_url, server


def _introduce(real: str | None, model: str, console: Console) -> None:
    console.print("A LangGraph team of planner, coder and tester solves small coding tasks.")
    if real:
        console.print(Text(f"Its model is {model} at {real}.\n"))
        return
    console.print(
        "Its model is scripted: a seeded policy behind a local OpenAI-compatible server, which\n"
        "answers from the conversation that it is sent, and is sometimes wrong. For a real one:\n"
        "  OPENAI_BASE_URL=http://localhost:8000/v1 agentracer demo --model NAME\n"
    )


def _run(team: Any, scenario: DemoRun, server: ModelServer | None) -> _Finished:
    if server is not None:
        server.model = scenario.policy
    task = scenario.task
    with agentracer.record(
        task=task.statement,
        check=lambda code: check(task, code),
        metadata=rebuild_metadata(scenario) if server is not None else None,
    ) as run:
        run.result = solve(team, task)
    trace = run.trace
    truth = scenario.policy.truth() if server is not None else None
    if trace.outcome.success is not False:
        return _Finished(scenario, trace, truth, None)
    verdict = Tracer().attribute(trace)
    Store().save_verdict(verdict)
    return _Finished(scenario, trace, truth, verdict)


def _print_run(run: _Finished, console: Console) -> None:
    line = Text(f"  {run.scenario.task.function:<22}")
    if run.verdict is None:
        line.append("passed ", style="green")
        line.append(f"{len(run.trace.steps)} steps", style="dim")
    else:
        line.append("failed ", style="red")
        line.append(f"{len(run.trace.steps)} steps", style="dim")
        line.append(f"  hidden tests failed; blamed: {run.verdict.agent}, step {run.verdict.step}")
    console.print(line)


def _explain(run: _Finished, verdict: Verdict, console: Console) -> None:
    console.print(f"\nThe first failure, {run.scenario.task.function}, as the tracer reads it:\n")
    print_verdict(verdict, run.trace, console)


def _prove(team: Any, run: _Finished, server: ModelServer, console: Console) -> Verdict:
    """Find the decisive step with nothing but the check: keep the first steps, redo the rest."""
    console.print(
        f"\nThe proof: the first steps are kept, the team does the rest again, and errs in "
        f"{_ERROR_RATE:.0%} of the runs."
    )
    system = fallible_coding_system(team, run.scenario, server, Store(), error_rate=_ERROR_RATE)
    search = find_decisive(run.trace, system)
    verdict = search.verdict
    console.print(f"{search.replays} replays; successes with the first k steps kept:")
    for rate in search.success_curve:
        kept = "nothing kept" if rate.step is None else f"through step {rate.step}"
        agent = "" if rate.step is None else f", {run.trace.steps[rate.step].agent}"
        console.print(Text(f"  {block(rate)} {rate.counted:>8}  {kept}{agent}"))
    if verdict.abstained:
        console.print(Text(verdict.abstain_reason or ""))
    elif verdict.verification is not None:
        line = Text(f"{verdict.agent}, step {verdict.step}: ", style="bold")
        console.print(line.append(formatting.verification(verdict.verification)))
    return verdict


def _compare(run: _Finished, verdict: Verdict, console: Console) -> None:
    """Say whether the demo's own knowledge and the verdict agree."""
    if run.truth is None:
        return
    truth = f"{run.truth.agent}, step {run.true_step} ({run.truth.mistake})"
    blamed = "no step" if verdict.abstained else f"{verdict.agent}, step {verdict.step}"
    right = verdict.agent == run.truth.agent and verdict.step == run.true_step
    console.print(Text(f"\nproved            {blamed}", style="bold"))
    console.print(Text(f"really went wrong {truth}"))
    console.print(Text("The verdict is right." if right else "The verdict is wrong."))


def _summarise(failures: list[_Finished], console: Console) -> None:
    checked = [run for run in failures if run.truth is not None and run.verdict is not None]
    if not checked:
        return
    right = sum(
        run.verdict.agent == run.truth.agent and run.verdict.step == run.true_step
        for run in checked
        if run.verdict is not None and run.truth is not None
    )
    console.print(
        f"\nOf the {len(checked)} failures of this demo, {right} were attributed to the right "
        "agent and step.\n"
        "That is a demonstration, not a benchmark: see docs/benchmarks.md for those."
    )
