"""The multi-granular reward against its parts, from the same warm start and at the same budget.

    python -m training.ablation [--seeds 0 1 2] [--workers 2] [--set FIELD=VALUE ...]

Needs what `python -m training.tiny_run` left: its warm start is what every reward begins with, and
its seeds are those of the multi-granular reward.
Writes `<output>/ablation.json` and prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from agentracer.errors import AgentracerError, TrainingError
from agentracer.lab.bench.metrics import Prediction
from training import config as configs
from training import corpus, evaluate
from training.config import Config
from training.tiny_run import CONFIG, measured, of_seed

__all__ = ["REWARDS", "main"]

REWARDS = {
    "multi-granular": "tiny-cpu",
    "step only": "tiny-cpu-step-only",
    "agent only": "tiny-cpu-agent-only",
    "binary": "tiny-cpu-binary",
}
"""Rewards by the config that has them."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--workers", type=int, default=2, help="runs at a time")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    try:
        if asked.one is not None:
            _one(asked.one[0], int(asked.one[1]), asked.set)
            return 0
        return _all(asked)
    except AgentracerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _config(name: str, seed: int, changes: Sequence[str]) -> tuple[Config, Path]:
    """The config of one run, and where its warm start is."""
    whole = configs.load(CONFIG.parent / f"{REWARDS[name]}.yaml", changes)
    of = of_seed(whole, seed)
    start = whole.folder / "sft"
    if not (start / "agentracer.json").is_file() or whole.grpo is None:
        raise TrainingError(
            f"there is no warm start in {start}",
            place="--seeds",
            remedy="run `python -m training.tiny_run` with these seeds first",
        )
    folder = whole.folder / "ablation" / REWARDS[name] / f"seed-{seed}"
    return of.model_copy(update={"output": str(folder)}), start


def _one(name: str, seed: int, changes: Sequence[str]) -> None:
    from training import grpo

    config, start = _config(name, seed, changes)
    trained = start.parent / f"seed-{seed}"  # by the tiny run, with the first of the rewards
    if name == next(iter(REWARDS)) and (trained / "seed.json").is_file():
        folder = trained / "grpo"
    else:
        folder = grpo.train(config, quiet=True)
    held_out = corpus.load(config.data).test
    found = {"reward": name, "seed": seed, "after": _scores(measured(config, folder, held_out))}
    if (name, seed) == (next(iter(REWARDS)), 0):  # the warm start is the same for all
        found["before"] = _scores(measured(config, start, held_out))
    (config.folder / "result.json").write_text(json.dumps(found, indent=2) + "\n")


def _scores(found: Sequence[Prediction]) -> dict[str, Any]:
    both = sum(one.agent_correct and one.step_correct for one in found) / len(found)
    return {**evaluate.summary(found), "both": both}


def _all(asked: argparse.Namespace) -> int:
    runs = [(name, seed) for seed in asked.seeds for name in REWARDS]
    with ThreadPoolExecutor(asked.workers) as pool:
        codes = list(pool.map(lambda run: _started(run[0], run[1], asked.set), runs))
    if any(codes):
        print("error: a run failed; see its log.txt", file=sys.stderr)
        return 1
    found = [
        json.loads((_config(name, seed, asked.set)[0].folder / "result.json").read_text())
        for name, seed in runs
    ]
    out = configs.load(CONFIG, asked.set).folder / "ablation.json"
    out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(table(found))
    print(f"results: {out}")
    return 0


def _started(name: str, seed: int, changes: Sequence[str]) -> int:
    """One run in a process of its own; a finished one is not run again."""
    folder = _config(name, seed, changes)[0].folder
    if (folder / "result.json").is_file():
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "training.ablation", "--one", name, str(seed)]
    for change in changes:
        command += ["--set", change]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with (folder / "log.txt").open("w", encoding="utf-8") as log:
        return subprocess.run(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False
        ).returncode


def table(found: Sequence[dict[str, Any]]) -> str:
    """Means over the seeds with the value of each, as a Markdown table."""
    lines = ["| reward | agent | step | both |", "|---|---:|---:|---:|"]
    for name in REWARDS:
        mine = [one["after"] for one in found if one["reward"] == name]
        lines.append(f"| {name} | {' | '.join(_cells(mine))} |")
    starts = [one["before"] for one in found if "before" in one]
    lines.append(f"| (warm start) | {' | '.join(_cells(starts))} |")
    return "\n".join(lines)


def _cells(scores: Sequence[dict[str, Any]]) -> list[str]:
    cells = []
    for kind in ("agent", "step", "both"):
        values = [one[kind] if kind == "both" else one[kind]["accuracy"] for one in scores]
        each = ", ".join(f"{100 * value:.1f}" for value in values)
        cells.append(f"**{100 * statistics.mean(values):.1f}** ({each})")
    return cells


if __name__ == "__main__":
    sys.exit(main())
