"""What it costs to find the decisive step: in place, against restarting from scratch.

    python benchmarks/replay.py [--lengths 5 10 20 40 60] [--tasks 6] [--json FILE]

Three kinds of systems, all LangGraph and offline: chains of 5 to 60 agents with one planted error,
repaired decoys before it and consequences after it; the demo's coding team with its mishaps; and
the testbed's teams on math, documents and code, as a pipeline, a hub and a review loop. The oracle
has a proposal for every step of a chain or team, as a language model would; for the coding team it
is a successful run of the same task. The ranking is that of the embedded tracer.

*Naive* is what the definition costs without this engine: for each candidate, first to last, restart
the run from scratch with the step corrected, as often as the exact test asks for, and the control
likewise for the step that flips (three times at least: it cannot know that nothing is left to
chance). *Naive, once* restarts once for each candidate and has no control;
it is no proof, and stands here as the least that restarting can cost.
"""

from __future__ import annotations

import argparse
import json
import operator
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

import agentracer
from agentracer.replay import Override, ReferenceOracle, Search, System, find_decisive
from agentracer.replay.search import SearchStrategy
from agentracer.store import Store
from agentracer.trace import Trace

TEAM_SEED = 20
"""Of the testbed's runs; not that of any data the embedded tracer was trained on."""

STRATEGIES: tuple[SearchStrategy, ...] = ("sequential", "ranked", "bisect")


@dataclass(frozen=True)
class Case:
    """A failed run whose decisive step is known."""

    system_name: str
    trace: Trace
    system: System
    oracle: Any
    step: int
    ranking: dict[int, float]


@dataclass
class Row:
    """What one method cost on one run."""

    system: str
    method: str
    right: bool
    replays: int
    steps: int
    model_calls: int
    seconds: float = 0.0


# -- chains


class Chain(TypedDict):
    """The state of a chain: what was said."""

    said: Annotated[list[str], operator.add]


def chain(words: Sequence[str]) -> Any:
    """A LangGraph chain; agent k says `words[k]`, which may depend on what was said before."""
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, HumanMessage
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langgraph.graph import END, START, StateGraph

    class Scripted(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "scripted"

        def _generate(self, messages: Any, *_: Any, **__: Any) -> ChatResult:
            answer = says(str(messages[-1].content))
            return ChatResult(generations=[ChatGeneration(message=AIMessage(answer))])

    def says(history: str) -> str:
        said = history.splitlines()
        word = words[len(said) - 1]
        if word == "after":
            word = "bad-after" if "bad" in said else "ok"
        if word == "fixed" and "slip" not in said:
            word = "ok"
        return word

    model = Scripted()

    def node(state: Chain) -> Chain:
        prompt = HumanMessage("\n".join(["go", *state["said"]]))
        return {"said": [str(model.invoke([prompt]).content)]}

    graph = StateGraph(Chain)
    names = [f"agent-{k}" for k in range(len(words))]
    for name in names:
        graph.add_node(name, node)
    for one, two in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(one, two)
    return graph.compile()


def chain_cases(lengths: Sequence[int], store: Store, *, declared: bool | None) -> Iterator[Case]:
    """Chains with the error at a quarter, a half and three quarters of the way."""
    rng = random.Random(1)
    for length in lengths:
        for part in (0.25, 0.5, 0.75):
            step = max(1, int(length * part))
            words = ["ok"] * length
            words[step] = "bad"
            words[0] = "slip"
            words[step - 1 if step > 1 else step + 1] = "fixed"
            for k in range(step + 1, length):
                words[k] = rng.choice(["ok", "after"])
            if step == 1:
                words[2] = "fixed"
            yield _chain_case(words, step, store, declared)


def _chain_case(words: list[str], agent: int, store: Store, declared: bool | None) -> Case:
    graph = chain(words)

    def run() -> Any:
        return graph.invoke({"said": []}, {"recursion_limit": 200})

    def check(result: Any) -> bool:
        said = result["said"]
        return "bad" not in said and ("slip" not in said or "fixed" in said)

    def oracle(trace: Trace, at: int) -> Override:
        return Override(step=at, content="well" if trace.steps[at].content == "ok" else "ok")

    trace = recorded(run, check, store)
    step = next(step.index for step in trace.steps if step.agent == f"agent-{agent}")
    system = System(run, check, store, deterministic=declared)
    return Case(f"chain of {len(words)}", trace, system, oracle, step, ranking(trace))


# -- the coding team


def coding_cases(tasks: int, store: Store, *, declared: bool | None) -> Iterator[Case]:
    """Mishaps of the testbed's coding team; a clean run of the same task is the oracle."""
    from agentracer.lab.testbed.coding_policy import CodingPolicy, ErrorKind
    from agentracer.lab.testbed.coding_tasks import TASKS
    from agentracer.lab.testbed.coding_team import build, check, solve
    from agentracer.lab.testbed.server import ModelServer

    error_kinds: tuple[ErrorKind, ...] = ("plan", "bug", "phantom", "false_pass")
    with ModelServer(CodingPolicy(0)) as server:
        team = build(server.base_url, "scripted", "none")
        for number, task in enumerate(TASKS[:tasks]):
            error_kind = error_kinds[number % len(error_kinds)]

            def run(task: Any = task) -> Any:
                return solve(team, task)

            def passes(code: Any, task: Any = task) -> bool:
                return check(task, code)

            server.model = CodingPolicy(number, error_kind="none")
            reference = recorded(run, passes, store)
            server.model = policy = CodingPolicy(number, error_kind=error_kind)
            trace = recorded(run, passes, store)
            truth = policy.truth()
            if truth is None or trace.outcome.success:
                continue
            step = next(s.index for s in trace.steps if s.content == truth.reply_text)
            system = System(run, passes, store, deterministic=declared)
            oracle = ReferenceOracle(reference)
            yield Case("coding team", trace, system, oracle, step, ranking(trace))


# -- the testbed's teams


def team_cases(runs: int, store: Store, *, declared: bool | None) -> Iterator[Case]:
    """Natural failures of all topologies and domains, in turn; see `agentracer.lab.collect`.

    The oracle has a proposal for every model step, as a language model with the ground truth would:
    what the scripted model says there without its slips; else, after the error, what a run without
    slips says there; else the same in more words.
    """
    from agentracer.lab.collect.plan import items, resolve
    from agentracer.lab.testbed.ground_truth import decisive_step
    from agentracer.lab.testbed.ground_truth import oracle as corrects
    from agentracer.lab.testbed.systems import DOMAINS, TeamHost

    for item in items(DOMAINS, ("langgraph",), runs, TEAM_SEED):
        domain, scene = resolve(item, None)
        policy = scene.policy(domain, item.seed)
        with TeamHost(domain, item.framework) as host:
            host.set_policy(policy)
            team = host.team(item.topology)

            def run(team: Any = team, scene: Any = scene) -> str:
                return str(team.solve(scene.problem))

            def passes(answer: str, domain: Any = domain, scene: Any = scene) -> bool:
                return bool(domain.check(scene.problem, answer))

            trace = recorded(run, passes, store)
            step = decisive_step(trace, scene, policy.log)
            if trace.outcome.success is not False or step is None:
                continue
            able = policy.without_errors()
            host.set_policy(able)
            clean = ReferenceOracle(recorded(run, passes, store))
            host.set_policy(policy)
            known = corrects(policy)

            def oracle(
                trace: Trace, at: int, known: Any = known, clean: Any = clean, erred: int = step
            ) -> Override:
                said = trace.steps[at]
                return (
                    known(trace, at)
                    or (clean(trace, at) if at > erred else None)
                    or Override(
                        step=at,
                        content=f"To be clear.\n\n{said.content}",
                        tool_calls=said.tool_calls,
                    )
                )

            system = System(run, passes, store, deterministic=declared)
            yield Case("testbed teams", trace, system, oracle, step, ranking(trace))


# -- measuring


def recorded(run: Any, check: Any, store: Store) -> Trace:
    with agentracer.record(check=check, store=store) as handle:
        handle.result = run()
    return handle.trace


def ranking(trace: Trace) -> dict[int, float]:
    """The embedded tracer's probabilities, of all steps."""
    verdict = agentracer.Tracer(top_k=len(trace.steps)).attribute(trace)
    return {c.step: c.probability for c in verdict.candidates if c.probability is not None}


def measure(case: Case) -> Iterator[Row]:
    """All strategies on one run, and what restarting would have cost."""
    for strategy in STRATEGIES:
        began = time.perf_counter()
        search = find_decisive(
            case.trace, case.system, case.oracle, strategy=strategy,
            ranking=case.ranking if strategy == "ranked" else (),
        )  # fmt: skip
        right = search.verdict.step == case.step
        usage = search.usage
        yield Row(case.system_name, strategy, right, usage.replays, usage.steps, usage.model_calls,
                  time.perf_counter() - began)  # fmt: skip
        if strategy == "sequential":
            yield from naive(case, search, right)


def naive(case: Case, search: Search, right: bool) -> Iterator[Row]:
    """Every candidate up to the decisive one, restarted; a restart costs what the run cost."""
    proof = search.verdict.verification
    candidates = len(search.proofs)
    size = max(3, proof.replays if proof is not None else 1)
    run = len(case.trace.steps)
    calls = sum(step.kind == "llm" for step in case.trace.steps)
    for method, replays in (("naive", candidates * size + size), ("naive, once", candidates)):
        yield Row(case.system_name, method, right, replays, replays * run, replays * calls)


def table(rows: Sequence[Row]) -> str:
    """Averages by system and method, with model calls as a share of the naive method's."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.system, row.method].append(row)
        groups["all", row.method].append(row)
    heads = ("runs", "right", "replays", "steps", "calls", "naive / it")
    widths = (5, 6, 9, 9, 9, 11)
    columns = "".join(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True))
    lines = [f"{'system':<14}{'method':<13}{columns}"]
    for (system, method), found in sorted(groups.items(), key=_order):
        n = len(found)
        base = sum(r.model_calls for r in groups[system, "naive"])
        calls = sum(r.model_calls for r in found)
        lines.append(
            f"{system:<14}{method:<13}{n:>5}{sum(r.right for r in found):>6}"
            f"{sum(r.replays for r in found) / n:>9.1f}{sum(r.steps for r in found) / n:>9.1f}"
            f"{calls / n:>9.1f}{base / calls if calls else 0:>11.1f}"
        )
    return "\n".join(lines)


def _order(item: tuple[tuple[str, str], list[Row]]) -> tuple[Any, ...]:
    (system, method), _ = item
    methods = ("naive", "naive, once", *STRATEGIES)
    return system == "all", len(system), system, methods.index(method)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--lengths", type=int, nargs="*", default=[5, 10, 20, 40, 60])
    parser.add_argument("--tasks", type=int, default=6, help="tasks of the coding team")
    parser.add_argument("--runs", type=int, default=90, help="runs of the testbed's teams")
    parser.add_argument(
        "--undeclared", action="store_true",
        help="do not tell the search that the systems are deterministic: it has to test for luck",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, help="also write all rows there")
    options = parser.parse_args(arguments)
    os.environ.setdefault("LANGSMITH_TRACING", "false")
    agentracer.instrument("langgraph")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as home:
        store = Store(home)
        declared = None if options.undeclared else True
        for cases in (
            chain_cases(options.lengths, store, declared=declared),
            coding_cases(options.tasks, store, declared=declared),
            team_cases(options.runs, store, declared=declared),
        ):
            for case in cases:
                rows += measure(case)
    print(table(rows))
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
