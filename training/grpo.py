"""The second stage: reinforcement learning with GRPO on the multi-granular reward.

    python -m training.grpo --config training/configs/NAME.yaml [--set FIELD=VALUE ...] [--dry-run]

Starts from `<output>/sft` (or from the model itself) and writes `<output>/grpo`. A run that was
killed continues from its last checkpoint when it is started again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentracer.errors import AgentracerError, TrainingError
from training import corpus, data, data_report, estimate, evaluate, requirements, rewards, tokens
from training.config import Config, Grpo, arguments, load
from training.data import Example
from training.sft import lora

__all__ = ["main", "train"]


def train(config: Config, *, quiet: bool = False) -> Path:
    """Train the second stage of a config; the folder that holds it.

    Raises:
        TrainingError: config, data or reward cannot be used; nothing was trained.
    """
    settings = config.grpo
    if settings is None:
        raise TrainingError("the config has no section grpo", place="grpo")
    requirements.require("torch", "transformers", "trl", "datasets")
    from trl import GRPOConfig, GRPOTrainer

    from training import logs, stages

    folder = config.folder / "grpo"
    stages.seed_everything(config)
    start = _start(config, settings)
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
    keys = {one.id: rewards.answer_key(one.judge_prompt, one.step, one.agent) for one in prompts}
    rows = _rows(prompts, tokenizer, config)
    rewards.check(keys, config.reward)
    if not quiet:
        data_report.print_report(data_report.data_report(loaded, prompts, tokenizer))
    model = stages.base_model(start, config)
    stages.check_context(config, model, prompts)
    lines = logs.JsonLines(config.folder / "metrics.jsonl", "grpo")
    held_out = logs.EvaluateHeldOut(
        evaluate.while_training(config, tokenizer, loaded.test), settings.evaluate_every, lines
    )
    clip = logs.DecayingClip(settings.epsilon)
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=rewards.grpo_reward(keys, config.reward),
        args=GRPOConfig(
            **stages.common_arguments(config, settings, folder), **_arguments(config, settings)
        ),
        train_dataset=_dataset(rows),
        processing_class=tokenizer,
        peft_config=lora(config),
        optimizers=stages.optimizers(model, settings),
        callbacks=[
            stages.Finished(),
            lines,
            held_out,
            *([clip] if settings.epsilon_decays else []),
        ],
    )
    held_out.trainer = clip.trainer = trainer
    logs.short_progress(trainer)
    resume = stages.last_checkpoint(folder)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    stages.save(trainer, tokenizer, folder, {"stage": "grpo", "config": config.name})
    return folder


def _start(config: Config, settings: Grpo) -> Path:
    if settings.start == "model":
        return Path(config.model.path)
    folder = config.folder / "sft" if settings.start == "sft" else Path(settings.start)
    if not (folder / "agentracer.json").is_file():
        raise TrainingError(
            f"there is no warm start in {folder}",
            place="grpo.start",
            remedy="run `python -m training.sft` with this config first, or set grpo.start=model",
        )
    return folder


def _arguments(config: Config, settings: Grpo) -> dict[str, Any]:
    """Arguments of GRPO's own. A batch is prompts x group sequences over all devices."""
    sequences = settings.batch * settings.group
    steps = max(sequences // (settings.micro_batch * config.devices), 1)
    found: dict[str, Any] = {
        "gradient_accumulation_steps": steps,
        "steps_per_generation": steps * settings.batches_per_generation,
        "num_generations": settings.group,
        "num_iterations": settings.iterations,
        "max_completion_length": config.data.answer_tokens,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "beta": settings.beta,
        "epsilon": settings.epsilon,
        "loss_type": settings.loss,
        "scale_rewards": "group",
        "mask_truncated_completions": False,
        "remove_unused_columns": False,
        "log_completions": False,
    }
    if settings.vllm is not None:
        found |= {
            "use_vllm": True,
            "vllm_mode": settings.vllm.mode,
            "vllm_gpu_memory_utilization": settings.vllm.memory_share,
            "vllm_enable_sleep_mode": settings.vllm.sleep,
            "vllm_tensor_parallel_size": settings.vllm.tensor_parallel,
            "vllm_max_model_length": config.data.context,
        }
        if settings.vllm.server is not None:
            found["vllm_server_base_url"] = settings.vllm.server
    return found


def _rows(prompts: Sequence[Example], tokenizer: Any, config: Config) -> list[dict[str, str]]:
    room = tokens.room_for_prompt(config)
    return [
        {"prompt": tokens.prompt_text(tokenizer, one, room), "example": one.id} for one in prompts
    ]


def _dataset(rows: list[dict[str, str]]) -> Any:
    from datasets import Dataset

    return Dataset.from_list(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    asked = arguments(str(__doc__).splitlines()[0]).parse_args(argv)
    try:
        config = load(asked.config, asked.set)
        if asked.dry_run:
            print(estimate.report(config))
            return 0
        print(f"tracer: {train(config)}")
    except AgentracerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
