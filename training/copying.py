"""Teaching a model made from nothing to copy, before it sees a trace.

To blame a step, a model has to find a label hundreds of tokens back and repeat it. A model with
random weights learns that from traces only after millions of tokens. It learns it in a minute from
random letters: a string, and the same string again, begun at another place. There is nothing of a
trace in it, and no failure.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentracer.attribution.rendering import LETTERS
from training.config import Sft

__all__ = ["SHARE_SHORT", "rows", "train"]

SHARE_SHORT = 0.75
_SHORT, _LONG = 16, 80
_OPTIMIZER = Sft(steps=1, learning_rate=5e-3, beta2=0.98, weight_decay=0.01, optimizer="muon")
_SYMBOLS = f"{LETTERS}0123456789ABCDEFGHIJ"


def rows(tokenizer: Any, count: int, *, seed: int) -> Iterator[dict[str, list[int]]]:
    """Strings and their repetitions: three quarters short ones, then long ones.

    Args:
        tokenizer: in which every letter and digit is a token.
        count: rows to make.
        seed: of all chance.
    """
    rng = random.Random(seed)
    ids = [tokenizer.convert_tokens_to_ids(symbol) for symbol in _SYMBOLS]
    for number in range(count):
        length = _SHORT if number < SHARE_SHORT * count else _LONG
        string = rng.choices(ids, k=length)
        start = rng.randrange(length)
        again = string[start:] + string[:start]
        # The first repeated letter cannot be known: it says where the repetition begins.
        yield {
            "input_ids": string + again,
            "labels": [-100] * (length + 1) + again[1:],
        }


def train(
    model: Any, tokenizer: Any, folder: Path, *, steps: int, seed: int, autocast: bool = False
) -> None:
    """Teach a model to copy, and save it.

    Args:
        model: with random weights.
        tokenizer: its own.
        folder: to save to.
        steps: of 32 rows each.
        seed: of all chance.
        autocast: whether to multiply as bfloat16.
    """
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from training import stages

    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder),
            max_steps=steps,
            per_device_train_batch_size=32,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=steps // 20,
            train_sampling_strategy="sequential",  # short strings first
            max_length=None,
            loss_type="nll",
            bf16=autocast,
            use_cpu=True,
            gradient_checkpointing=False,
            report_to=[],
            save_strategy="no",
            logging_steps=50,
            seed=seed,
        ),
        train_dataset=Dataset.from_list(list(rows(tokenizer, 32 * steps, seed=seed))),
        processing_class=tokenizer,
        optimizers=stages.optimizers(model, _OPTIMIZER),
    )
    trainer.train()
    trainer.save_model(str(folder))
    tokenizer.save_pretrained(folder)
