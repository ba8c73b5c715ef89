"""What a model made from nothing has to be able to do before it sees a trace: copy and compare.

To blame a step, a model has to find a label hundreds of tokens back and repeat it, and to see that
what stands there is not what should. A model with random weights learns that from traces only after
millions of tokens: most statements of a trace are right. It learns it in two minutes from random
symbols: a string, and the same string again, begun at another place; a term, another one, and
whether they are the same. There is nothing of a trace in it, and no failure.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentracer.attribution.rendering import LETTERS
from training.config import Sft
from training.reasoning import AGREES, DIFFERS

__all__ = ["comparisons", "repetitions", "rows", "train"]

Row = dict[str, list[int]]

_BATCH = 32  # rows of a step; of one kind, so that none has to be padded
_SHORT, _LONG, _TERMS = 16, 80, 8
_SHORT_SHARE = 0.4
_OPTIMIZER = Sft(steps=1, learning_rate=5e-3, beta2=0.98, weight_decay=0.01, optimizer="muon")
_DIGITS, _NAMES, _SIGNS = "0123456789", "ABCDEFGHIJ", (" + ", " - ")
_SYMBOLS = (*LETTERS, *_DIGITS, *_NAMES, *2 * _SIGNS)


def rows(tokenizer: Any, steps: int, *, seed: int) -> Iterator[Row]:
    """First short strings and their repetitions; then two of three steps compare."""
    rng, begin = random.Random(seed), int(steps * _SHORT_SHARE)
    for step in range(steps):
        for _ in range(_BATCH):
            if step < begin:
                yield repetitions(tokenizer, rng, _SHORT)
            elif (step - begin) % 3:
                yield comparisons(tokenizer, rng, _TERMS)
            else:
                yield repetitions(tokenizer, rng, _LONG)


def repetitions(tokenizer: Any, rng: random.Random, length: int) -> Row:
    """A string of random symbols, each a token, and the same string begun elsewhere."""
    ids = [tokenizer.convert_tokens_to_ids(symbol) for symbol in _SYMBOLS]
    string = rng.choices(ids, k=length)
    start = rng.randrange(length)
    again = string[start:] + string[:start]
    # The first repeated letter cannot be known: it says where the repetition begins.
    return {"input_ids": string + again, "labels": [-100] * (length + 1) + again[1:]}


def comparisons(tokenizer: Any, rng: random.Random, terms: int) -> Row:
    """Terms, each beside itself or beside one with another symbol, and which of the two it is."""
    row: Row = {"input_ids": [], "labels": []}

    def add(text: str, *, learnt: bool = False) -> None:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        row["input_ids"] += ids
        row["labels"] += ids if learnt else [-100] * len(ids)

    for _ in range(terms):
        term = [rng.choice(_DIGITS)]
        if rng.random() < 0.6:
            term = [rng.choice(_DIGITS + _NAMES), rng.choice(_SIGNS), *term]
        other = list(term)
        same = rng.random() < 0.5
        if not same:
            place = rng.randrange(len(term))
            kind = next(kind for kind in (_DIGITS, _NAMES, _SIGNS) if term[place] in kind)
            other[place] = rng.choice([symbol for symbol in kind if symbol != term[place]])
        end = rng.choice(("", "", '"})'))
        add(f"{''.join(term)}{end} => {''.join(other)}")
        add(AGREES if same else DIFFERS, learnt=True)
        add("\n| ")
    return row


def train(
    model: Any, tokenizer: Any, folder: Path, *, steps: int, seed: int, autocast: bool = False
) -> None:
    """Teach a model to copy and to compare, and save it.

    Args:
        model: with random weights.
        tokenizer: its own.
        folder: to save to.
        steps: two of five of them comparisons.
        seed: of all chance.
        autocast: whether to multiply as bfloat16.
    """
    from datasets import Dataset
    from trl import SFTConfig

    from training import stages

    trainer = stages.sft_trainer(model)(
        model=model,
        args=SFTConfig(
            output_dir=str(folder),
            max_steps=steps,
            per_device_train_batch_size=_BATCH,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=steps // 20,
            train_sampling_strategy="sequential",  # what is easy first
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
        train_dataset=Dataset.from_list(list(rows(tokenizer, steps, seed=seed))),
        processing_class=tokenizer,
        optimizers=stages.optimizers(model, _OPTIMIZER),
    )
    trainer.train()
    trainer.save_model(str(folder))
    tokenizer.save_pretrained(folder)
