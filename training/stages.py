"""What SFT and GRPO share: checks before the first step, checkpoints, arguments of the trainer."""

# ruff: noqa: ARG002 - the trainer hands over more than each callback needs

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback

from agentracer.errors import TrainingError
from training import requirements
from training.config import Config, _Steps
from training.data import Example

__all__ = [
    "Finished",
    "base_model",
    "common_arguments",
    "last_checkpoint",
    "optimizers",
    "save",
    "seed_everything",
    "sft_trainer",
]

_MARK = "complete.json"
_SMALL_VOCABULARY = 4_096


def base_model(place: str | Path, config: Config) -> Any:
    """The model in a folder, in the number format of the config."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_pretrained(
            place,
            dtype=getattr(torch, config.model.dtype),
            attn_implementation=config.model.attention,
            local_files_only=True,
        )
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"no model in {str(place)!r}: {error}",
            place="model.path",
            remedy="name a folder that holds a checkpoint; nothing is downloaded",
        ) from error


def seed_everything(config: Config) -> None:
    """Seeds, and threads of the CPU."""
    import torch
    from transformers import set_seed

    if config.threads is not None:
        torch.set_num_threads(config.threads)
    set_seed(config.seed)


def common_arguments(config: Config, stage: _Steps, folder: Path) -> dict[str, Any]:
    """What both trainers take in the same way."""
    import torch

    cpu = not torch.cuda.is_available()
    return {
        "output_dir": str(folder),
        "seed": config.seed,
        "data_seed": config.seed,
        "max_steps": stage.steps,
        "learning_rate": stage.learning_rate,
        "lr_scheduler_type": stage.schedule,
        "warmup_steps": round(stage.warmup * stage.steps),
        "weight_decay": stage.weight_decay,
        "max_grad_norm": stage.max_grad_norm,
        "optim": "adamw_torch" if stage.optimizer == "muon" else stage.optimizer,
        "adam_beta2": stage.beta2,
        "per_device_train_batch_size": stage.micro_batch,
        "gradient_checkpointing": stage.activation_checkpointing,
        "bf16": not cpu or config.model.autocast,
        "use_cpu": cpu,
        "save_strategy": "steps" if stage.save_every else "no",
        "save_steps": stage.save_every or 500,
        "save_total_limit": stage.keep,
        "logging_steps": 1,
        "report_to": ["tensorboard"] if config.tensorboard else [],
        "disable_tqdm": False,
        "dataloader_pin_memory": not cpu,
    }


def optimizers(model: Any, stage: _Steps) -> tuple[Any, None]:
    """Optimizer and schedule to hand to a trainer; None where it makes its own by name."""
    if stage.optimizer != "muon":
        return None, None
    requirements.require("pytorch_optimizer")
    from pytorch_optimizer import Muon

    shared = {"lr": stage.learning_rate, "weight_decay": stage.weight_decay}
    inside = [
        weight
        for name, weight in model.named_parameters()
        if weight.ndim == 2 and "embed" not in name and "lm_head" not in name
    ]
    known = set(map(id, inside))
    rest = [weight for weight in model.parameters() if id(weight) not in known]
    groups = [
        # Scaled so that an update is as large as Adam's would be: one rate serves both.
        {"params": inside, "use_muon": True, "use_adjusted_lr": True, **shared},
        {"params": rest, "use_muon": False, "betas": (0.9, stage.beta2), **shared},
    ]
    return Muon(groups), None


def sft_trainer(model: Any) -> Any:
    """TRL's trainer; with the model's own loss where the vocabulary is small.

    TRL never holds all logits, but works through them in blocks. That saves gigabytes with a
    vocabulary of 150,000, and costs a sixth of a step on a CPU with one of 500.
    """
    from trl import SFTTrainer

    if model.config.vocab_size > _SMALL_VOCABULARY:
        return SFTTrainer

    class WholeLogits(SFTTrainer):  # type: ignore[misc]
        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            return Trainer.compute_loss(self, *args, **kwargs)

    return WholeLogits


class Finished(TrainerCallback):  # type: ignore[misc]
    """Marks a checkpoint when all of it is on disk: a run may be killed while it writes one."""

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the one just written."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            (folder / _MARK).write_text(json.dumps({"step": state.global_step}))


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint; those that were cut off are removed."""
    found = []
    for one in folder.glob("checkpoint-*"):
        if (one / _MARK).is_file():
            found.append(one)
        else:
            shutil.rmtree(one)
    return max(found, key=lambda one: int(one.name.rpartition("-")[2]), default=None)


def save(trainer: Any, tokenizer: Any, folder: Path, note: dict[str, Any]) -> None:
    """Weights (or the adapter) and tokenizer, with what a `Tracer` has to know of them."""
    trainer.save_model(str(folder))
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(folder)
        text = json.dumps({"answer_format": "tagged", **note}, indent=2)
        (folder / "agentracer.json").write_text(text + "\n")


def check_context(config: Config, model: Any, examples: Sequence[Example]) -> None:
    """Whether the model has positions for prompt and answer.

    Raises:
        TrainingError: it has fewer.
    """
    limit = getattr(model.config, "max_position_embeddings", None)
    if isinstance(limit, int) and limit < config.data.context:
        raise TrainingError(
            f"data.context is {config.data.context}, and the model has {limit} positions",
            place="data.context",
            remedy=f"lower it to {limit}, or use a model with more",
        )
    if not examples:
        raise TrainingError("there is no prompt to train on", place="data.train")
