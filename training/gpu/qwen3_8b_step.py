"""One step of GRPO on a randomly initialised Qwen3-8B with LoRA, at 8k tokens: time and memory.

    python -m training.gpu.qwen3_8b_step --out FILE.json [--smoke]

Weights of the real shape need no download, and time and memory do not depend on their values. The
split says how much of a step is writing answers (with transformers, not vLLM) and how much is
updating.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training import tiny
from training.gpu.ceiling import matrix_products, synchronised

__all__ = ["main"]

QWEN3_8B = {
    "vocab_size": 151_936,
    "hidden_size": 4_096,
    "intermediate_size": 12_288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 40_960,
    "tie_word_embeddings": False,
}
SMOKE = QWEN3_8B | {
    "vocab_size": 1_024,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--context", type=int, default=8_192)
    parser.add_argument("--answer", type=int, default=512)
    parser.add_argument("--prompts", type=int, default=2)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--steps", type=int, default=2, help="the first one warms up")
    parser.add_argument("--smoke", action="store_true", help="a tiny shape and short prompts")
    asked = parser.parse_args(argv)
    if asked.smoke:
        asked.context, asked.answer, asked.prompts, asked.group = 256, 16, 1, 2
    found = measure(asked)
    asked.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))
    return 0


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Run the steps and measure the last one."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import Qwen3Config, Qwen3ForCausalLM
    from trl import GRPOConfig, GRPOTrainer

    cuda = torch.cuda.is_available()
    dtype = torch.bfloat16 if cuda else torch.float32
    sizes = {"size": 512, "rounds": 2} if asked.smoke else {}
    ceiling = matrix_products(dtype, **sizes)
    tokenizer = tiny.tokenizer(())
    with torch.device("cuda" if cuda else "cpu"):
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        model = Qwen3ForCausalLM(
            Qwen3Config(
                **(SMOKE if asked.smoke else QWEN3_8B),
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
                bos_token_id=None,
            )
        )
        torch.set_default_dtype(before)
    weights = model.num_parameters()
    split = {"writing": 0.0}

    class Timed(GRPOTrainer):  # type: ignore[misc]
        def _generate(self, *args: Any, **more: Any) -> Any:
            began = synchronised()
            made = super()._generate(*args, **more)
            split["writing"] = synchronised() - began
            return made

        def training_step(self, *args: Any, **more: Any) -> Any:
            loss = super().training_step(*args, **more)
            synchronised()
            return loss

    # Bytes are tokens here, so that a prompt has exactly the length that is asked for.
    prompt = "x" * (asked.context - asked.answer)
    sequences = asked.prompts * asked.group
    with tempfile.TemporaryDirectory() as folder:
        trainer = Timed(
            model=model,
            # Any reward that differs: it is the cost of a step that is measured.
            reward_funcs=lambda completions, **_: [float(len(one) % 5) for one in completions],
            args=GRPOConfig(
                output_dir=folder,
                max_steps=asked.steps,
                per_device_train_batch_size=1 if cuda else sequences,
                gradient_accumulation_steps=sequences if cuda else 1,
                num_generations=asked.group,
                max_completion_length=asked.answer,
                gradient_checkpointing=cuda,
                bf16=cuda,
                use_cpu=not cuda,
                report_to=[],
                save_strategy="no",
                logging_steps=1,
                beta=0.0,
                generation_kwargs={"min_new_tokens": asked.answer},
            ),
            train_dataset=Dataset.from_list([{"prompt": prompt}] * (asked.prompts * asked.steps)),
            processing_class=tokenizer,
            peft_config=LoraConfig(r=64, lora_alpha=128, target_modules="all-linear"),
        )
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        trainer.train()
    seconds = [line["step_time"] for line in trainer.state.log_history if "step_time" in line][-1]
    tokens = sequences * asked.context
    update = seconds - split["writing"]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": torch.cuda.get_device_name() if cuda else platform.machine(),
        "smoke": asked.smoke,
        "parameters": weights,
        "prompts x group": [asked.prompts, asked.group],
        "tokens of a sequence": asked.context,
        "answer tokens": asked.answer,
        "ceiling, TFLOP/s": round(ceiling, 3),
        "seconds of a step": round(seconds, 2),
        "writing": round(split["writing"], 2),
        "updating": round(update, 2),
        "tokens a second": round(tokens / seconds),
        # Under LoRA: forward, forward again, and half a backward.
        "utilisation of the update": round(6 * weights * tokens / update / 1e12 / ceiling, 4),
        "peak memory, GiB": round(torch.cuda.max_memory_allocated() / 2**30, 1) if cuda else None,
    }


if __name__ == "__main__":
    sys.exit(main())
