"""Measure whether a changed instruction helps a team on a real model: runs with and without it.

    local-model serve 1.5b
    python benchmarks/real_fix.py --base-url http://127.0.0.1:8115/v1 \
        --model qwen2.5-coder-1.5b --system langgraph-review --task code-median \
        --instruction "Code that you run must contain the whole function."

The instruction is put behind those of the agent that has the tools. Runs of both kinds take turns,
so that nothing that changes over time favours one of them; each has a seed of its own. Finished
runs are kept in --work, so that the command can be killed and run again.
"""

from __future__ import annotations

import argparse
import json
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import get_args

from agentracer.lab.collect.journal import ItemJournal
from agentracer.lab.natural.collection import ToolProtocol, server_version, with_tools
from agentracer.lab.natural.endpoint import Endpoint
from agentracer.lab.natural.systems import SYSTEMS, run_once
from agentracer.lab.natural.tasks import load_tasks
from agentracer.lab.natural.teams.prompts import EXPERT
from agentracer.statistics import boschloo_p_value, wilson
from agentracer.store import Store

BATCH = 4  # runs at once, all of one kind


def main() -> None:
    """Run both kinds, as far as they are not done, and print the successes of each."""
    options = _options()
    system, task = SYSTEMS[options.system], load_tasks()[options.task]
    server = Endpoint(options.base_url, options.model, max_tokens=options.max_tokens)
    facts = {
        "model": options.model,
        "server": server_version(server),
        "temperature": server.temperature,
        "max_tokens": options.max_tokens,
        "system": options.system,
        "task": options.task,
        "instruction": options.instruction,
    }
    store, rng = Store(options.work / "runs"), random.Random(options.seed)
    original = EXPERT[task.kind]
    with (
        with_tools(server, options.tools) as endpoint,
        ItemJournal(options.work / "fix.jsonl", facts) as done,
        ThreadPoolExecutor(max_workers=BATCH) as pool,
    ):
        for batch in range(2 * -(-options.runs // BATCH)):
            changed = batch % 2 == 1
            seeds = [rng.randrange(2**31) for _ in range(BATCH)]
            if batch in done.finished:
                continue
            EXPERT[task.kind] = f"{original} {options.instruction}" if changed else original
            endpoints = [replace(endpoint, seed=seed) for seed in seeds]
            traces = list(pool.map(lambda e: run_once(system, task, e, store), endpoints))
            right = [bool(trace.outcome.success) for trace in traces]
            done.add({"index": batch, "changed": changed, "seeds": seeds, "right": right})
            print(f"{'with' if changed else 'without'}: {sum(right)} of {len(right)}", flush=True)
        records = [done.finished[index] for index in sorted(done.finished)]
    counts = {
        changed: [
            ok for record in records if record["changed"] is changed for ok in record["right"]
        ]
        for changed in (False, True)
    }
    for changed, name in ((False, "as it was"), (True, "with the instruction")):
        right, n = sum(counts[changed]), len(counts[changed])
        low, high = wilson(right, n)
        print(f"{name:22} {right} of {n} [{low:.0%}, {high:.0%}]")
    p = boschloo_p_value(
        sum(counts[True]), len(counts[True]), sum(counts[False]), len(counts[False])
    )
    print(f"one-sided exact test: p = {p:.3f}")
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        document = {"facts": facts, "batches": records, "p": p}
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--system", required=True, choices=list(SYSTEMS))
    parser.add_argument("--task", required=True)
    parser.add_argument("--instruction", required=True)
    parser.add_argument("--tools", default="text", choices=get_args(ToolProtocol))
    parser.add_argument("--runs", type=int, default=20, help="of each kind")
    parser.add_argument("--max-tokens", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("build/real-fix"))
    parser.add_argument("--out", type=Path, help="write the results there, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
