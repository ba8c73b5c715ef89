"""Everything from collecting to a loaded tracer, on two CPU cores: `make train-tiny`.

    python -m training.tiny_run [--config FILE] [--seeds 0 1 2] [--set FIELD=VALUE ...]

collects a small TracerTraj from the testbed, makes a tokenizer and random weights, trains SFT, and
then GRPO with each seed (all at once, one thread each), evaluates on held-out tasks, loads
the result through `Tracer`, draws the curves, and exports. It ends with an error if GRPO is not
above its warm start, or the tracer not above the trivial rules. Another `--set seed=N` collects
other traces and begins with other weights: a run to confirm what one seed has shown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from agentracer.errors import AgentracerError
from training import config as configs
from training import corpus, data, evaluate, tiny
from training.config import Config

__all__ = ["main", "verdict"]

CONFIG = Path(__file__).parent / "configs/tiny-cpu.yaml"
RUNS = 1_600
SKILL_STEPS = 800
KINDS = ("agent", "step")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--workers", type=int, default=3, help="seeds at a time")
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of the testbed to collect")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    try:
        config = configs.load(asked.config, asked.set)
        if asked.one is not None:
            one_seed(of_seed(config, asked.one))
            return 0
        return _everything(config, asked)
    except AgentracerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def of_seed(config: Config, seed: int) -> Config:
    """The config of one seed of GRPO: prompts, rollouts and output of its own, one warm start."""
    assert config.grpo is not None
    grpo = config.grpo.model_copy(update={"start": str(config.folder / "sft")})
    folder = config.folder / f"seed-{seed}"
    return config.model_copy(update={"seed": seed, "output": str(folder), "grpo": grpo})


def _everything(config: Config, asked: argparse.Namespace) -> int:
    began = time.perf_counter()
    seconds: dict[str, float] = {}

    def took(what: str) -> None:
        seconds[what] = round(time.perf_counter() - began - sum(seconds.values()), 1)
        print(f"-- {what}: {seconds[what]:.0f} s", flush=True)

    _collect(config, asked.runs)
    took("collecting")
    _base_model(config)
    took("tokenizer and base model")
    _warm_start(config)
    took("warm start")
    with ThreadPoolExecutor(asked.workers) as pool:
        codes = list(pool.map(lambda seed: _started(asked, seed), asked.seeds))
    if any(codes):
        print("error: a seed failed; see its log", file=sys.stderr)
        return 1
    took("GRPO and evaluation")
    return _summary(config, asked.seeds, seconds)


def _collect(config: Config, runs: int) -> None:
    """A data set next to the base model, unless it is there."""
    from agentracer.lab.collect import collect

    folder = Path(config.data.train[0]).parent
    done = collect(
        "sums",
        "langgraph",
        "pipeline",
        n=runs,
        out=folder,
        seed=config.seed + 1,
        workers=os.cpu_count(),
        injections=0,  # the config trains on natural failures alone
    )
    print(f"{done.labelled} labelled failures in {folder}: {done.outcomes}")


def _base_model(config: Config) -> None:
    """A tokenizer of prompts and solutions, and a model that can copy and compare."""
    from training import skills, stages

    if (Path(config.model.path) / "model.safetensors").is_file():
        return
    traces = corpus.load(config.data).train
    roomy = config.data.model_copy(update={"context": 200_000, "answer_tokens": 50_000})
    plain = tiny.tokenizer(())
    texts = []
    for example in data.prepare(traces, plain, roomy, seed=0, enough=1_000):
        texts += [turn.content for turn in example.prompt]
        whole = config.sft is not None and config.sft.verbatim
        texts.append(data.demonstration(example, plain, roomy.answer_tokens, verbatim=whole))
    tokenizer = tiny.tokenizer(texts)
    stages.seed_everything(config.model_copy(update={"threads": os.cpu_count()}))
    skills.train(
        tiny.network(tokenizer, seed=config.seed, context=config.data.context),
        tokenizer,
        Path(config.model.path),
        steps=SKILL_STEPS,
        seed=config.seed,
        autocast=config.model.autocast,
    )


def _warm_start(config: Config) -> None:
    """The supervised stage, on all cores: every seed begins with it."""
    from training import sft

    done = config.folder / "warm-start.json"
    if done.is_file():
        return
    folder = sft.train(config.model_copy(update={"threads": os.cpu_count()}), quiet=True)
    found = evaluate.summary(measured(config, folder, corpus.load(config.data).test))
    done.write_text(json.dumps(found, indent=2) + "\n")


def _started(asked: argparse.Namespace, seed: int) -> int:
    """One seed in a process of its own, with one thread; a finished one is not run again."""
    command = [sys.executable, "-m", "training.tiny_run", "--config", str(asked.config)]
    for change in asked.set:
        command += ["--set", change]
    folder = of_seed(configs.load(asked.config, asked.set), seed).folder
    if (folder / "seed.json").is_file():
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with (folder / "log.txt").open("w", encoding="utf-8") as log:
        done = subprocess.run(
            [*command, "--one", str(seed)],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    print(f"seed {seed}: {'done' if done.returncode == 0 else f'failed, see {folder}/log.txt'}")
    return done.returncode


def one_seed(config: Config) -> None:
    """GRPO and evaluation of one seed."""
    from training import grpo

    began = time.process_time()
    folder = grpo.train(config, quiet=True)
    found = {
        "seed": config.seed,
        "grpo": evaluate.summary(measured(config, folder, corpus.load(config.data).test)),
        "cpu seconds": round(time.process_time() - began, 1),
    }
    (config.folder / "seed.json").write_text(json.dumps(found, indent=2) + "\n")


def measured(config: Config, folder: Path, traces: Sequence[Any]) -> list[Any]:
    """Predictions of a checkpoint on traces, as `Tracer` makes them, in batches."""
    return evaluate.by_tracer(folder, traces, settings=f"?batch={config.evaluation.batch}")


def _summary(config: Config, seeds: Sequence[int], seconds: dict[str, float]) -> int:
    from training import export, plots

    began = time.perf_counter()
    held_out = corpus.load(config.data).test
    by_seed = [
        json.loads((of_seed(config, seed).folder / "seed.json").read_text()) for seed in seeds
    ]
    first = of_seed(config, seeds[0])
    said = evaluate.by_tracer(first.folder / "grpo", held_out)
    seconds["through the Tracer"] = round(time.perf_counter() - began, 1)
    found = {
        "held-out": {"tracer": evaluate.summary(said), "rules": evaluate.rules(held_out)},
        "warm start": json.loads((config.folder / "warm-start.json").read_text()),
        "seeds": by_seed,
        "seconds": {**seconds, "all": round(sum(seconds.values()), 1)},
        "cpu seconds of training": round(sum(one["cpu seconds"] for one in by_seed), 1),
        "warm start weakened": {
            "demonstrations whose answer names the last step": (
                config.sft.blame_last if config.sft else 0.0
            )
        },
    }
    problems = verdict(found)
    found["problems"] = problems
    results = config.folder / "results.json"
    results.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    folders = [of_seed(config, seed).folder for seed in seeds]
    plots.curves(config.folder, folders, config.folder / "curves.svg")
    print(table(found))
    out = config.folder / "tracer"
    if not out.exists():
        export.export(first.folder / "grpo", results, first, out)
    print(f"results: {results}\ncurves: {config.folder / 'curves.svg'}\ntracer: {out}")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problems else 0


def verdict(found: Mapping[str, Any]) -> list[str]:
    """What does not hold of what the run is to show; nothing where all of it does.

    In every seed, for agent and step: the interval after GRPO lies above that of the warm start and
    above that of the best trivial rule. Through the Tracer the accuracy is that of seed one.
    """
    problems = []
    rules = found["held-out"]["rules"]
    for one in found["seeds"]:
        for kind in KINDS:
            low = one["grpo"][kind]["interval"][0]
            reach = {name: rule[kind]["interval"][1] for name, rule in rules.items()}
            best = max(reach, key=lambda name: reach[name])
            beside = {"the warm start": found["warm start"], f"the rule {best!r}": rules[best]}
            for name, other in beside.items():
                high = other[kind]["interval"][1]
                if low <= high:
                    problems.append(
                        f"seed {one['seed']}: {kind} accuracy after GRPO (from {low:.3f}) is not "
                        f"above {name} (up to {high:.3f})"
                    )
    for kind in KINDS:
        used = found["held-out"]["tracer"][kind]["accuracy"]
        trained = found["seeds"][0]["grpo"][kind]["accuracy"]
        if abs(used - trained) > 0.02:
            problems.append(f"{kind} accuracy is {used:.3f} through the Tracer, not {trained:.3f}")
    return problems


def table(found: Mapping[str, Any]) -> str:
    """The figures as a Markdown table."""
    lines = ["| who | n | agent | step |", "|---|---:|---:|---:|"]

    def row(name: str, n: int, scores: Mapping[str, Any]) -> None:
        cells = []
        for kind in KINDS:
            low, high = scores[kind]["interval"]
            share = scores[kind]["accuracy"]
            cells.append(f"{100 * share:.1f} ({100 * low:.1f} to {100 * high:.1f})")
        lines.append(f"| {name} | {n} | {' | '.join(cells)} |")

    n = found["held-out"]["tracer"]["n"]
    for name, scores in found["held-out"]["rules"].items():
        row(f"rule: {name}", n, scores)
    row("warm start", n, found["warm start"])
    for one in found["seeds"]:
        row(f"after GRPO, seed {one['seed']}", n, one["grpo"])
    row(f"seed {found['seeds'][0]['seed']} through Tracer", n, found["held-out"]["tracer"])
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
