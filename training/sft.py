"""The warm start: supervised fine-tuning on reasoning made from replay evidence.

    python -m training.sft --config training/configs/NAME.yaml [--set FIELD=VALUE ...]

Writes `<output>/sft`: weights and tokenizer, loadable by `Tracer("transformers:...")`. Started
again after it was killed, it goes on from its last checkpoint.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentracer.attribution.language_models import chat
from agentracer.errors import AgentracerError, TrainingError
from training import corpus, data, data_report, estimate, evaluate, requirements, tokens
from training.config import Config, arguments, load
from training.data import Example

__all__ = ["main", "train"]


def train(config: Config, *, quiet: bool = False) -> Path:
    """Train the warm start of a config; the folder that holds it.

    Raises:
        TrainingError: config or data cannot be used; nothing was trained.
    """
    settings = config.sft
    if settings is None:
        raise TrainingError("the config has no section sft", place="sft")
    requirements.require("torch", "transformers", "trl", "datasets")
    from trl import SFTConfig

    from training import logs, stages

    folder = config.folder / "sft"
    stages.seed_everything(config)
    tokenizer = tokens.load_tokenizer(config)
    tokens.check_tokenizer(tokenizer)
    loaded = corpus.load(config.data)
    prompts = data.prepare(
        loaded.train,
        tokenizer,
        config.data,
        seed=config.seed,
        enough=settings.steps * settings.batch,
    )
    rows = _rows(prompts, tokenizer, config)
    if not quiet:
        data_report.print_report(data_report.data_report(loaded, prompts, tokenizer))
    model = stages.base_model(config.model.path, config)
    stages.check_context(config, model, prompts)
    lines = logs.JsonLines(config.folder / "metrics.jsonl", "sft")
    held_out = logs.EvaluateHeldOut(
        evaluate.while_training(config, tokenizer, loaded.test), settings.evaluate_every, lines
    )
    trainer = stages.sft_trainer(model)(
        model=model,
        args=SFTConfig(
            **stages.common_arguments(config, settings, folder),
            gradient_accumulation_steps=settings.batch // settings.micro_batch // config.devices
            or 1,
            # Sequences of a length together: less of a batch is padding.
            train_sampling_strategy="group_by_length",
            max_length=None,
            packing=False,
            loss_type="nll",
        ),
        train_dataset=_dataset(rows),
        data_collator=_unmasked(tokenizer),
        processing_class=tokenizer,
        peft_config=lora(config),
        optimizers=stages.optimizers(model, settings),
        callbacks=[stages.Finished(), lines, held_out],
    )
    held_out.trainer = trainer
    logs.short_progress(trainer)
    resume = stages.last_checkpoint(folder)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    stages.save(trainer, tokenizer, folder, {"stage": "sft", "config": config.name})
    return folder


def _rows(prompts: Sequence[Example], tokenizer: Any, config: Config) -> list[dict[str, list[int]]]:
    """Ids and labels: the very ids of the prompt that a Tracer sends, and of the solution."""
    assert config.sft is not None
    rng = random.Random(config.seed)
    room, answer_room = tokens.room_for_prompt(config), config.data.answer_tokens
    rows = []
    for example in prompts:
        tokens.prompt_text(tokenizer, example, room)
        wrong = rng.random() < config.sft.blame_last
        text = data.demonstration(
            example,
            tokenizer,
            answer_room - 1,
            blame_last=wrong,
            verbatim=config.sft.verbatim,
        )
        asked = chat.encode(tokenizer, example.prompt).ids
        read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        told = [*read["input_ids"], tokenizer.eos_token_id]
        prompt_too = rng.random() < config.sft.prompt_loss
        begin = _decisive(example, text) if rng.random() < config.sft.decisive_only else 0
        given = sum(end <= begin for _, end in read["offset_mapping"])
        learnt = [-100] * given + told[given:]
        rows.append(
            {
                "input_ids": asked + told,
                "labels": (asked if prompt_too else [-100] * len(asked)) + learnt,
            }
        )
    return rows


def _decisive(example: Example, text: str) -> int:
    """Where a solution begins to speak of the decisive step; 0 where it blames nobody."""
    if example.step is None:
        return 0
    label = example.judge_prompt.view.labels[example.step]
    return max(text.find(f"\n[{label}]\n"), 0)


def _unmasked(tokenizer: Any) -> Any:
    """Batches whose mask is all ones: a causal model sees no padding that stands behind its text.

    Padding bears no label either. Without a mask of its own attention is quicker: 12 % of a step on
    two CPU cores.
    """
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    collate = DataCollatorForLanguageModeling(pad_token_id=tokenizer.pad_token_id)

    def unmasked(rows: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = collate(rows)
        return {**batch, "attention_mask": batch["attention_mask"].fill_(1)}

    return unmasked


def _dataset(rows: list[dict[str, list[int]]]) -> Any:
    from datasets import Dataset

    return Dataset.from_list(rows)


def lora(config: Config) -> Any:
    """The adapter of a config, as peft wants it; None for full training."""
    if config.lora is None:
        return None
    requirements.require("peft")
    from peft import LoraConfig

    return LoraConfig(
        r=config.lora.rank,
        lora_alpha=config.lora.alpha,
        target_modules=config.lora.targets,
        task_type="CAUSAL_LM",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    asked = arguments(str(__doc__).splitlines()[0]).parse_args(argv)
    try:
        config = load(asked.config, asked.set)
        if asked.dry_run:
            print(estimate.report(config))
            return 0
        print(f"warm start: {train(config)}")
    except AgentracerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
