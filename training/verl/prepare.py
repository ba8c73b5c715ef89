"""Prompts and answer keys as the parquet files that verl reads.

python -m training.verl.prepare --config FILE --out FOLDER
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentracer.errors import AgentracerError, MissingExtra
from training import corpus, data, rewards, tokens
from training.config import Config, load
from training.data import Example

__all__ = ["main", "rows"]

SOURCE = "agentracer/tracertraj"


def rows(prompts: Sequence[Example], config: Config, split: str) -> list[dict[str, Any]]:
    """Rows in the layout of verl."""
    return [
        {
            "data_source": SOURCE,
            "prompt": [{"role": turn.role, "content": turn.content} for turn in one.prompt],
            "ability": "failure attribution",
            "reward_model": {
                "style": "rule",
                "ground_truth": json.dumps(
                    rewards.answer_key(one.judge_prompt, one.step, one.agent).to_json()
                ),
            },
            "extra_info": {
                "split": split,
                "index": number,
                "example": one.id,
                "reward": config.reward.model_dump_json(),
            },
        }
        for number, one in enumerate(prompts)
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args(argv)
    try:
        config = load(asked.config, asked.set)
        tokenizer = tokens.load_tokenizer(config)
        tokens.check_tokenizer(tokenizer)
        loaded = corpus.load(config.data)
        train = data.prepare(loaded.train, tokenizer, config.data, seed=config.seed)
        test = data.examples(loaded.test, tokenizer, config.data)
        asked.out.mkdir(parents=True, exist_ok=True)
        for split, prompts in (("train", train), ("test", test)):
            _write(asked.out / f"{split}.parquet", rows(prompts, config, split))
            print(f"{len(prompts)} prompts in {asked.out / f'{split}.parquet'}")
    except AgentracerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _write(path: Path, made: list[dict[str, Any]]) -> None:
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        raise MissingExtra("train", needed_for="writing parquet") from error
    parquet.write_table(arrow.Table.from_pylist(made), path)


if __name__ == "__main__":
    sys.exit(main())
