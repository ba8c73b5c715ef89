"""A trained tracer as something to hand on: weights or adapter, tokenizer, and a model card.

    python -m training.export --model DIR --results FILE --config FILE --out DIR [--merge]

The card is written from the results file and says which one it was. What comes out is loaded by
`Tracer("transformers:DIR")` and `Tracer("vllm:DIR")`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentracer._version import __version__
from agentracer.errors import AgentracerError, TrainingError
from training.config import Config, load

__all__ = ["card", "export", "main"]

_LEFT_OUT = ("checkpoint-*", "runs", "optimizer.pt", "training_args.bin")


def export(model: Path, results: Path, config: Config, out: Path, *, merge: bool = False) -> Path:
    """Write a folder that a `Tracer` loads.

    Args:
        model: what a stage of training wrote.
        results: figures of an evaluation, as JSON.
        config: that it was trained with.
        out: a new folder.
        merge: write an adapter's weights into those of its base.

    Raises:
        TrainingError: something is missing; nothing is written then.
    """
    if not (model / "agentracer.json").is_file():
        raise TrainingError(
            "no trained model here", source=model, remedy="name <output>/sft or <output>/grpo"
        )
    if out.exists():
        raise TrainingError("exists already", source=out, remedy="name a new folder")
    figures = _figures(results)
    adapter = (model / "adapter_config.json").is_file()
    text = card(config, figures, results, adapter=adapter and not merge)
    unfinished = out.with_name(f"{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    if adapter and merge:
        _merge(model, unfinished)
    else:
        shutil.copytree(model, unfinished, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    note = json.loads((model / "agentracer.json").read_text(encoding="utf-8"))
    (unfinished / "agentracer.json").write_text(json.dumps(note, indent=2) + "\n")
    (unfinished / "README.md").write_text(text, encoding="utf-8")
    shutil.copyfile(results, unfinished / "results.json")
    unfinished.rename(out)
    return out


def _figures(results: Path) -> dict[str, Any]:
    try:
        found = json.loads(results.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"no figures: {error}",
            source=results,
            remedy="write them with `python -m training.evaluate --out FILE`",
        ) from error
    if not isinstance(found, dict) or not any(
        isinstance(value, dict) and "tracer" in value for value in found.values()
    ):
        raise TrainingError("no evaluation of a tracer in it", source=results)
    return found


def _merge(model: Path, out: Path) -> None:
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    merged = AutoPeftModelForCausalLM.from_pretrained(model).merge_and_unload()
    merged.save_pretrained(out)
    AutoTokenizer.from_pretrained(model, local_files_only=True).save_pretrained(out)


def card(
    config: Config, figures: Mapping[str, Any], results: Path, *, adapter: bool = False
) -> str:
    """The text of the model card."""
    return "\n".join(_card(config, figures, results, adapter=adapter))


def _card(
    config: Config, figures: Mapping[str, Any], results: Path, *, adapter: bool
) -> Iterator[str]:
    digest = hashlib.sha256(results.read_bytes()).hexdigest()[:16]
    yield "---\nlicense: apache-2.0\nlibrary_name: transformers\ntags: [agentracer]\n---\n"
    yield f"# {config.name}\n"
    yield (
        "Names the agent and the step that made a multi-agent run fail. Trained with agentracer "
        f"{__version__}. {'A LoRA adapter: it needs its base model.' if adapter else ''}".rstrip()
    )
    yield '\n    from agentracer import Tracer\n    Tracer("transformers:DIR")  # or "vllm:DIR"\n'
    yield "## Data\n"
    files = ", ".join(f"`{Path(name).name}`" for name in config.data.train)
    kept = "Test files of their own" if config.data.test else f"{config.data.held_out:.0%} of tasks"
    where = f", where {config.data.where}" if config.data.where else ""
    yield (
        f"TracerTraj rows of {files}{where}. {kept} were kept back by task. No run of Who&When, "
        "and of no task of GAIA or AssistantBench, can enter training. The prompts are those of "
        f"`method='all-at-once'`, {'with' if config.data.ground_truth else 'without'} the ground "
        "truth.\n"
    )
    yield "## Recipe\n"
    yield f"Base: `{Path(config.model.path).name}`, seed {config.seed}."
    if config.sft is not None:
        yield f"Warm start: {config.sft.steps} steps of {config.sft.batch} sequences."
        if config.sft.blame_last:
            yield (
                f"In {config.sft.blame_last:.0%} of its demonstrations the answer named the last "
                "step, on purpose, so that reinforcement learning had something to mend."
            )
    if config.grpo is not None:
        reward = config.reward
        yield (
            f"GRPO: {config.grpo.steps} steps of {config.grpo.batch} prompts x "
            f"{config.grpo.group} answers, learning rate {config.grpo.learning_rate:g}, KL weight "
            f"{config.grpo.beta:g}; reward {reward.kind}"
            + (
                f", step weight {reward.step_weight:g}, sigma {reward.sigma:g}."
                if reward.kind == "graded"
                else "."
            )
        )
    yield f"\n## Results\n\nFrom `results.json` beside this card (sha256 {digest}...).\n"
    yield "| runs | who | n | agent | step |\n|---|---|---:|---:|---:|"
    for name, value in figures.items():
        if isinstance(value, Mapping) and "tracer" in value:
            yield from _rows(name, value)
    yield "\nShares with 95 % Wilson intervals. A tracer has to be above rules that read nothing.\n"
    yield "## Limits\n"
    yield (
        "It was measured on what the table names, and on nothing else. Data of the testbed is the "
        "language of a script: a model that is trained on it alone learns that script. A verdict "
        "is a suspicion; `agentracer.replay` can prove or refute it.\n"
    )
    yield "## Licence\n"
    yield "Apache-2.0 for what agentracer made; a base model keeps its own licence."


def _rows(name: str, value: Mapping[str, Any]) -> Iterator[str]:
    tracer = value["tracer"]
    cells = f"{_cell(tracer, 'agent')} | {_cell(tracer, 'step')}"
    yield f"| {name} | **this tracer** | {tracer['n']} | {cells} |"
    rules = value.get("rules", {})
    best = {
        max(rules, key=lambda rule: rules[rule][kind]["accuracy"])
        for kind in ("agent", "step")
        if rules
    }
    for rule in sorted({*best, *({"random"} & set(rules))}):
        cells = f"{_cell(rules[rule], 'agent')} | {_cell(rules[rule], 'step')}"
        yield f"| {name} | rule: {rule} | {tracer['n']} | {cells} |"


def _cell(scores: Mapping[str, Any], kind: str) -> str:
    low, high = scores[kind]["interval"]
    return f"{100 * scores[kind]['accuracy']:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--merge", action="store_true", help="merge a LoRA adapter into its base")
    asked = parser.parse_args(argv)
    try:
        config = load(asked.config, asked.set)
        print(export(asked.model, asked.results, config, asked.out, merge=asked.merge))
    except AgentracerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
