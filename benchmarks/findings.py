"""Every check of the embedded tracer on runs of real agents: uses, and how often on the right step.

    python benchmarks/findings.py --whowhen DIR --traces FILE [FILE ...] --taubench FILE
        [--print KIND ...]

Prints a row for each source and kind of finding: in how many runs it is reported, how often the
first of them stands on the labelled step, how often chance would hit it there, the lift with a 95 %
interval, and in how many successful runs it is reported. `decides` marks the findings that name a
step whatever its rank. `--print` shows every finding of a kind with its quotes on both sides, to be
read beside the run: only a person can say whether the sentence is true.

`--traces` takes files of traces, one JSON object a line; `--taubench` a file of tau-bench
trajectories, the successful ones of which count as controls. Labels are read here only.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentracer.attribution.embedded.checks import Finding
from agentracer.attribution.embedded.kinds import FindingKind, Sign
from agentracer.attribution.embedded.model.features import Features
from agentracer.formats import whowhen
from agentracer.statistics import wilson
from agentracer.trace import AgentInfo, Observed, Outcome, Step, ToolCall, Trace


@dataclass
class Tally:
    """The findings of one kind in one source.

    Attributes:
        runs: failed runs with a label in which it is reported.
        hits: of them, those whose labelled step is the first with such a finding.
        chance: the hits that a random step would have.
        unlabelled: failed runs without a label in which it is reported.
        controls: successful runs in which it is reported.
    """

    runs: int = 0
    hits: int = 0
    chance: float = 0.0
    unlabelled: int = 0
    controls: int = 0


@dataclass
class Source:
    """A set of runs.

    Attributes:
        name: in the table.
        traces: the runs.
        tallies: by kind.
    """

    name: str
    traces: Sequence[Trace]
    tallies: dict[FindingKind, Tally] = field(default_factory=lambda: defaultdict(Tally))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whowhen", type=Path, help="the development half")
    parser.add_argument("--traces", type=Path, nargs="*", default=[])
    parser.add_argument("--taubench", type=Path)
    parser.add_argument("--print", nargs="*", default=[], dest="shown", help="kinds, or 'decides'")
    args = parser.parse_args()
    for source in sources_of(args):
        count(source, args.shown)
        report(source)


def sources_of(args: argparse.Namespace) -> Iterator[Source]:
    """The sources that were given, one after the other."""
    folders = args.whowhen.iterdir() if args.whowhen is not None else ()
    for folder in sorted(path for path in folders if path.is_dir()):
        yield Source(f"Who&When {folder.name}", whowhen.load_directory(folder))
    for path in args.traces:
        lines = path.read_text(encoding="utf-8").splitlines()
        yield Source(path.stem, [Trace.model_validate_json(line) for line in lines if line])
    if args.taubench is not None:
        yield Source("tau-bench", [trace_of(run) for run in json.loads(args.taubench.read_text())])


def count(source: Source, shown: Sequence[str]) -> None:
    """Count the findings of a source, and print those of the kinds that are asked for."""
    for trace in source.traces:
        findings = Features(trace.observed).context.findings
        first: dict[FindingKind, int] = {}
        for index, reported in enumerate(findings):
            for kind, finding in reported.items():
                first.setdefault(kind, index)
                if kind.name in shown or (kind.decides and "decides" in shown):
                    show(trace, index, finding)
        for kind, index in first.items():
            add(source.tallies[kind], trace, index)


def add(tally: Tally, trace: Trace, index: int) -> None:
    """Count one run with a finding, the first of which is at a step."""
    if trace.outcome.success:
        tally.controls += 1
    elif not trace.labels:
        tally.unlabelled += 1
    else:
        tally.runs += 1
        tally.hits += trace.labels[0].step == index
        tally.chance += 1 / len(trace.steps)


def show(trace: Trace, index: int, finding: Finding) -> None:
    """Print a finding with its quotes."""
    label = trace.labels[0].step if trace.labels else None
    print(f"\n{trace.id}, step {index} (labelled {label}): {finding.kind.name}: {finding.detail}")
    print(f"    step {index}: {finding.quote!r}")
    if finding.source is not None:
        print(f"    {finding.source.place}: {finding.source.line!r}")


def report(source: Source) -> None:
    """Print the table of one source."""
    controls = sum(trace.outcome.success is True for trace in source.traces)
    print(f"\n{source.name}: {len(source.traces) - controls} failed runs, {controls} successful")
    print(
        f"{'finding':34}{'runs':>6}{'hits':>6}{'chance':>8}{'lift':>6}  {'95 %':14} others    good"
    )
    for kind, tally in sorted(source.tallies.items(), key=lambda item: -item[1].runs):
        if kind.sign is Sign.FOR:
            continue
        name = f"{kind.name}{' (decides)' if kind.decides else ''}"
        row = f"{name:34}{tally.runs:6}{tally.hits:6}{tally.chance:8.1f}{lift_of(tally)}"
        print(f"{row}  {tally.unlabelled:6}  {tally.controls:6}")


def lift_of(tally: Tally) -> str:
    """The lift over chance, with its interval."""
    if not tally.runs:
        return f"{'':23}"
    low, high = wilson(tally.hits, tally.runs)
    chance = tally.chance / tally.runs
    interval = f"[{low / chance:.1f}, {high / chance:.1f}]"
    return f"{tally.hits / tally.chance:6.1f}  {interval:15}"


def trace_of(run: dict[str, Any]) -> Trace:
    """A tau-bench trajectory as a trace: a message for what the user says, a call for the rest."""
    system, *messages = run["traj"]
    steps: list[dict[str, Any]] = []
    for message in messages:
        content = message.get("content") or ""
        if message["role"] == "tool":
            calls = steps[-1]["tool_calls"]
            steps[-1]["tool_calls"] = [
                {**call, "result": content} if call["id"] == message["tool_call_id"] else call
                for call in calls
            ]
            continue
        agent = "user" if message["role"] == "user" else "assistant"
        kind = "message" if agent == "user" else "llm"
        calls = [call_of(call) for call in message.get("tool_calls") or ()]
        steps.append({"agent": agent, "kind": kind, "content": content, "tool_calls": calls})
    made = tuple(
        Step(index=i, **{**step, "tool_calls": tuple(ToolCall(**c) for c in step["tool_calls"])})
        for i, step in enumerate(steps)
    )
    agents = (AgentInfo(name="user"), AgentInfo(name="assistant", system_prompt=system["content"]))
    observed = Observed(
        task=made[0].content,
        agents=agents,
        steps=made,
        outcome=Outcome(success=run["reward"] == 1.0),
    )
    return Trace(id=f"tau-bench-{run['task_id']}-{run['trial']}", observed=observed)


def call_of(call: dict[str, Any]) -> dict[str, Any]:
    """A tool call of a trajectory."""
    function = call["function"]
    return {
        "id": call["id"],
        "name": function["name"],
        "arguments": json.loads(function["arguments"]),
        "result": None,
    }


if __name__ == "__main__":
    main()
