"""Whether a tokenizer can carry prompts and answers; found out before the first step."""

from __future__ import annotations

from typing import Any

from agentracer.attribution.language_models import chat
from agentracer.errors import TrainingError
from training.config import Config
from training.data import Example

__all__ = ["check_tokenizer", "load_tokenizer", "prompt_text", "room_for_prompt"]

_NEEDED = ("<think>", "</think>", "<answer>", "</answer>")


def load_tokenizer(config: Config) -> Any:
    """The tokenizer of a config, from disk.

    Raises:
        TrainingError: there is none.
    """
    from transformers import AutoTokenizer

    place = config.model.tokenizer or config.model.path
    try:
        return AutoTokenizer.from_pretrained(place, local_files_only=True)
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"no tokenizer in {place!r}: {error}",
            place="model.path",
            remedy="name a folder that holds a checkpoint with its tokenizer; nothing is "
            "downloaded. `python -m training.tiny_run` makes a tiny one",
        ) from error


def check_tokenizer(tokenizer: Any) -> None:
    """Find out before training whether a tokenizer can carry the form of the answers.

    Raises:
        TrainingError: a token is missing, or its text would be lost in decoding.
    """
    for name in ("eos_token", "pad_token"):
        if getattr(tokenizer, name) is None:
            raise TrainingError(
                f"the tokenizer has no {name}",
                place="model.tokenizer",
                remedy=f"set {name} in its tokenizer_config.json",
            )
    if tokenizer.pad_token_id == tokenizer.eos_token_id:
        raise TrainingError(
            "pad_token and eos_token are the same, so that the end of an answer would be masked",
            place="model.tokenizer",
            remedy="give the tokenizer a pad_token of its own",
        )
    if not tokenizer.chat_template:
        raise TrainingError(
            "the tokenizer has no chat template",
            place="model.tokenizer",
            remedy="use the tokenizer of a chat model",
        )
    for text in _NEEDED:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if tokenizer.decode(ids, skip_special_tokens=True) != text:
            raise TrainingError(
                f"the tokenizer loses {text!r} in decoding, so that no answer could be read",
                place="model.tokenizer",
                remedy=f"add {text!r} as an ordinary token (special=False), as Qwen3 does",
            )


def prompt_text(tokenizer: Any, example: Example, room: int) -> str:
    """A prompt as text that becomes exactly the ids which a `Tracer` would send.

    Raises:
        TrainingError: it does not fit beside the answer, or would become other ids.
    """
    wanted = chat.encode(tokenizer, example.prompt).ids
    if len(wanted) > room:
        raise TrainingError(
            f"the prompt has {len(wanted)} tokens, and {room} are left beside the answer",
            place=f"trace {example.id}",
            remedy="raise data.context (and the model's), or lower data.answer_tokens",
        )
    turns = [{"role": turn.role, "content": turn.content} for turn in example.prompt]
    text: str = tokenizer.apply_chat_template(
        turns, tokenize=False, add_generation_prompt=True, enable_thinking=True
    )
    if tokenizer(text)["input_ids"] != wanted:
        raise TrainingError(
            "the tokenizer reads this prompt otherwise in training than a Tracer sends it",
            place=f"trace {example.id}",
            remedy="use a tokenizer that adds no token of its own to a rendered chat template, "
            "and does not merge across its turns",
        )
    return text


def room_for_prompt(config: Config) -> int:
    """Tokens that a prompt may have."""
    return config.data.context - config.data.answer_tokens
