"""Measure the proof without an oracle on failed runs of real teams on a real model.

    local-model serve 0.5b
    python benchmarks/proof_real.py --base-url http://127.0.0.1:8115/v1 --model qwen2.5-coder-0.5b

Three stages, each with a journal in --work, so that the command can be killed and run again:

1. Each pair of a team and a task is run afresh a few times. Pairs that succeed in 20 to 80 % of
   these runs are taken: where a team never succeeds, no step is special.
2. The first failed run of each such pair is searched: exhaustively, with 12 replays of every
   prefix (the reference), and by the adaptive search, which sees none of those replays.
3. Agreement is printed: the adaptive search's step is in the reference's 90 % set, or both name
   no step. Beside it, the same for the embedded tracer, the last step and the first worker's step,
   and how many steps each search replayed.

The labels are made by replays of the same system, so they say what that model would have done.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from agentracer import Tracer
from agentracer.lab.collect.journal import ItemJournal
from agentracer.lab.natural.collection import ToolProtocol, server_version, with_tools
from agentracer.lab.natural.endpoint import Endpoint
from agentracer.lab.natural.systems import SYSTEMS, NaturalSystem, replay_system, run_once
from agentracer.lab.natural.tasks import NaturalTask, load_tasks
from agentracer.replay import Search, find_decisive
from agentracer.replay.prefix import answer_order
from agentracer.replay.success_curve.planning import answer_set
from agentracer.statistics import wilson
from agentracer.store import Store
from agentracer.trace import Trace

FRESH_RUNS = 5
MOST_STEPS = 8
REFERENCE_REPLAYS = 12
LEVEL = 0.9


@dataclass(frozen=True, slots=True)
class Pair:
    """A team and a task of the plan."""

    index: int
    system: NaturalSystem
    task: NaturalTask

    @property
    def name(self) -> str:
        """As it is printed."""
        return f"{self.system.name} on {self.task.id}"


def plan_pairs(systems: Sequence[str], kinds: Sequence[str], seed: int) -> Iterator[Pair]:
    """Yield pairs: the teams in turn, each with its tasks in random order."""
    rng = random.Random(seed)
    queues = []
    for name in systems:
        system = SYSTEMS[name]
        tasks = [t for t in load_tasks().values() if t.kind in system.kinds and t.kind in kinds]
        queues.append([(system, task) for task in rng.sample(tasks, len(tasks))])
    turns = (pair for turn in itertools.zip_longest(*queues) for pair in turn if pair)
    for index, (system, task) in enumerate(turns):
        yield Pair(index, system, task)


# -- stage 1: fresh runs, several at once


def fresh_runs(pair: Pair, endpoint: Endpoint, store: Store, workers: int) -> dict[str, Any]:
    """Run a pair afresh; the last run is left out where the others all ended alike."""
    rng = random.Random(f"{pair.name}/{endpoint.seed}")
    seeds = [rng.randrange(2**31) for _ in range(FRESH_RUNS)]

    def run(seed: int) -> Trace:
        return run_once(pair.system, pair.task, replace(endpoint, seed=seed), store)

    with ThreadPoolExecutor(max_workers=workers) as pool:
        traces = list(pool.map(run, seeds[:-1]))
    if len({trace.outcome.success for trace in traces}) > 1:
        traces.append(run(seeds[-1]))
    return {
        "index": pair.index,
        "system": pair.system.name,
        "task": pair.task.id,
        "fresh": [bool(trace.outcome.success) for trace in traces],
        "trace": next((trace.id for trace in traces if _can_be_searched(trace)), None),
    }


def _can_be_searched(trace: Trace) -> bool:
    """A failed run without an error, of a length that the reference can afford."""
    return trace.outcome.success is False and 2 <= len(answer_order(trace)) <= MOST_STEPS


def is_open(record: dict[str, Any]) -> bool:
    """Whether a pair succeeds in 20 to 80 % of its fresh runs and has a failed run to search."""
    fresh = record["fresh"]
    share = sum(fresh) / len(fresh)
    return len(fresh) == FRESH_RUNS and 0.2 <= share <= 0.8 and record["trace"] is not None


# -- stage 2: the two searches


def search_both(
    pair: Pair, trace: Trace, endpoint: Endpoint, store: Store, workers: int
) -> dict[str, Any]:
    """Search one failed run exhaustively and adaptively."""
    system = replay_system(pair.system, pair.task, endpoint, store)
    started = time.monotonic()
    reference = find_decisive(
        trace, system, strategy="exhaustive", repeats=REFERENCE_REPLAYS, workers=workers
    )
    middle = time.monotonic()
    adaptive = find_decisive(trace, system, strategy="adaptive", workers=workers)
    ended = time.monotonic()
    return {
        "index": pair.index,
        "system": pair.system.name,
        "task": pair.task.id,
        "trace": trace.id,
        "steps": [{"index": s.index, "agent": s.agent, "kind": s.kind} for s in trace.steps],
        "reference": _described(reference, middle - started),
        "adaptive": _described(adaptive, ended - middle),
        "rules": _rules(trace),
    }


def _described(search: Search, seconds: float) -> dict[str, Any]:
    verdict = search.verdict
    return {
        "step": verdict.step,
        "agent": verdict.agent,
        "reason": verdict.reason or verdict.abstain_reason,
        "status": verdict.verification.status if verdict.verification else None,
        "posterior": {str(k): round(p, 4) for k, p in search.posterior.items() if p >= 0.001},
        "set": [str(answer) for answer in answer_set(search.posterior, LEVEL)],
        "curve": [[r.prefix, r.successes, r.replays, r.unusable] for r in search.success_curve],
        "seconds": round(seconds, 1),
    }


def _rules(trace: Trace) -> dict[str, int | None]:
    """What costs no replay: the embedded tracer, the last step, the first worker's step."""
    answered = answer_order(trace)
    first = trace.steps[answered[0]].agent
    workers = [step for step in answered if trace.steps[step].agent != first]
    return {
        "embedded": Tracer().attribute(trace).candidates[0].step,
        "last step": answered[-1],
        "first worker": workers[0] if workers else answered[0],
    }


# -- stage 3: agreement


def agreement(results: Sequence[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Count, for each way to name a step, how often the reference's 90 % set holds it."""
    counts: Counter[str] = Counter()
    named: Counter[str] = Counter()
    for result in results:
        reference = result["reference"]
        steps = [answer for answer in reference["set"] if answer.isdecimal()]
        top = next(iter(result["adaptive"]["posterior"]), None)
        counts["adaptive search"] += top in reference["set"]
        named["adaptive search"] += 1
        if next(iter(reference["posterior"]), "").isdecimal():
            for rule, step in result["rules"].items():
                named[rule] += 1
                counts[rule] += str(step) in steps
    return {name: (counts[name], named[name]) for name in named}


def _live_steps(side: dict[str, Any], steps: int) -> int:
    return sum((steps - prefix) * (n + unusable) for prefix, _, n, unusable in side["curve"])


def report(results: Sequence[dict[str, Any]], facts: dict[str, Any]) -> str:
    """State what was measured, one line for each run and the agreement below."""
    lines = [f"{facts['model']} ({facts['server']}), temperature {facts['temperature']:g}"]
    adaptive_cost = reference_cost = 0
    for result in results:
        reference, adaptive = result["reference"], result["adaptive"]
        length = max(prefix for prefix, *_ in reference["curve"])
        adaptive_cost += _live_steps(adaptive, length)
        reference_cost += _live_steps(reference, length)
        curve = " ".join(f"{s}/{n}" for _, s, n, _ in reference["curve"])
        lines.append(
            f"{result['system']:22} {result['task']:24} V: {curve}; reference "
            f"{{{', '.join(reference['set'])}}}; adaptive "
            f"{next(iter(adaptive['posterior']), 'nothing')} ({adaptive['status']})"
        )
    for name, (agreed, n) in agreement(results).items():
        low, high = wilson(agreed, n)
        lines.append(f"{name:16} in the reference's set: {agreed} of {n} [{low:.0%}, {high:.0%}]")
    if reference_cost:
        share = adaptive_cost / reference_cost
        lines.append(f"live steps: {adaptive_cost} against {reference_cost} ({share:.0%})")
    return "\n".join(lines)


def main() -> None:
    """Run the stages as far as they are not done, and print the figures."""
    options = _options()
    server = Endpoint(
        options.base_url, options.model, max_tokens=options.max_tokens, seed=options.seed
    )
    facts = {
        "model": options.model,
        "server": server_version(server),
        "temperature": server.temperature,
        "max_tokens": server.max_tokens,
        "tools": options.tools,
        "systems": options.systems,
        "kinds": options.kinds,
        "seed": options.seed,
    }
    store = Store(options.work / "runs")
    with (
        with_tools(server, options.tools) as endpoint,
        ItemJournal(options.work / "fresh.jsonl", {**facts, "runs": FRESH_RUNS}) as fresh,
        ItemJournal(options.work / "searches.jsonl", {**facts, "n": REFERENCE_REPLAYS}) as done,
    ):
        for pair in plan_pairs(options.systems, options.kinds, options.seed):
            if len(done.finished) >= options.failures:
                break
            if pair.index not in fresh.finished:
                fresh.add(fresh_runs(pair, endpoint, store, options.workers))
            record = fresh.finished[pair.index]
            print(f"{pair.name}: {sum(record['fresh'])} of {len(record['fresh'])}", flush=True)
            if is_open(record) and pair.index not in done.finished:
                trace = store.load(record["trace"])
                done.add(search_both(pair, trace, endpoint, store, options.workers))
        results = [done.finished[index] for index in sorted(done.finished)]
        tried = [fresh.finished[index] for index in sorted(fresh.finished)]
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        document = {"facts": facts, "fresh": tried, "searches": results}
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(report(results, facts))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--kinds", nargs="+", default=["word", "code", "document", "plan"])
    parser.add_argument("--tools", default="text", choices=get_args(ToolProtocol))
    parser.add_argument("--failures", type=int, default=10, help="failed runs to search")
    parser.add_argument("--max-tokens", type=int, default=300, help="longest reply of one call")
    parser.add_argument("--workers", type=int, default=4, help="replays at once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("build/proof-real"))
    parser.add_argument("--out", type=Path, help="write the results there, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
