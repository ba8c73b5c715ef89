"""Encode chats as token ids, so that text from a trace never becomes a special token.

The chat template is rendered with placeholders. The text between them comes from the template and
may hold special tokens; the contents of messages are encoded as plain text. Both in-process
backends use this module, so that they read the same ids. It also finds checkpoints on disk.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from agentracer.attribution.language_models.base import ChatMessage, Prompt, TextSpan
from agentracer.errors import BackendError, UnknownModel

__all__ = [
    "Checkpoint",
    "Encoded",
    "adapter_config",
    "encode",
    "find_checkpoint",
    "load_tokenizer",
    "special_tokens",
]

_OPEN, _CLOSE = "\ue010", "\ue011"  # private use: rendering replaces them in a trace
_METADATA = "agentracer.json"
_ADAPTER = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of a prompt; `offsets` are characters of the last user message, else None."""

    ids: list[int]
    offsets: list[tuple[int, int] | None]

    def tokens_of(self, span: TextSpan) -> list[int]:
        """Return the positions of tokens that begin inside a span of the last user message."""
        return [
            position
            for position, at in enumerate(self.offsets)
            if at is not None and span.start <= at[0] < span.end
        ]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A base model, perhaps with a LoRA adapter, and the answer format that it was trained on."""

    base: str
    adapter: str | None
    answer_format: Literal["tagged", "json"]


def find_checkpoint(scheme: str, place: str, settings: dict[str, str]) -> Checkpoint:
    """Find the checkpoint of a spec, without loading it.

    A folder with `adapter_config.json` is a LoRA adapter, and names its base model. A file
    `agentracer.json` states the `answer_format` that the checkpoint was trained on.

    Raises:
        UnknownModel: there is no such folder, or its adapter cannot be read.
    """
    path, adapter = Path(place).expanduser(), settings.get("lora")
    looks_like_path = place.startswith((".", "/", "~"))
    if looks_like_path and not path.is_dir():
        raise UnknownModel(f"{scheme}: there is no folder {place}\n  remedy: correct the path")
    note = _metadata(path) | (_metadata(Path(adapter)) if adapter else {})
    base = str(path) if path.is_dir() else place
    if adapter is None and (path / _ADAPTER).is_file():
        adapter, base = str(path), adapter_config(scheme, str(path))["base_model_name_or_path"]
    elif adapter is not None:
        adapter_config(scheme, adapter)
    style = settings.get("format") or note.get("answer_format") or "json"
    if style not in {"json", "tagged"}:
        raise UnknownModel(
            f"{scheme}: {style!r} is not an answer format\n  remedy: use json or tagged"
        )
    return Checkpoint(base, adapter, cast("Literal['tagged', 'json']", style))


def adapter_config(scheme: str, folder: str) -> dict[str, Any]:
    """Read the configuration of a LoRA adapter that peft wrote.

    Raises:
        UnknownModel: the folder holds no adapter, or a damaged one.
    """
    file = Path(folder).expanduser() / _ADAPTER
    remedy = "name a folder that peft saved an adapter to"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnknownModel(f"{scheme}: {file}: {error}\n  remedy: {remedy}") from error
    if not isinstance(config, dict) or "base_model_name_or_path" not in config:
        raise UnknownModel(f"{scheme}: {file} names no base model\n  remedy: {remedy}")
    return config


def _metadata(path: Path) -> dict[str, Any]:
    file = path / _METADATA
    data = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return data if isinstance(data, dict) else {}


def load_tokenizer(scheme: str, checkpoint: Checkpoint) -> Any:
    """Load the tokenizer of a checkpoint, from disk only.

    Raises:
        UnknownModel: the folder holds no tokenizer.
    """
    from transformers import AutoTokenizer

    folders = [place for place in (checkpoint.adapter, checkpoint.base) if place]
    for place in folders:
        try:
            return AutoTokenizer.from_pretrained(place, local_files_only=True)
        except (OSError, ValueError) as error:
            failed = error
    raise UnknownModel(
        f"{scheme}:{checkpoint.base}: no tokenizer there: {failed}\n"
        "  remedy: nothing is downloaded; name a folder that holds the model"
    ) from failed


def special_tokens(tokenizer: Any) -> frozenset[str]:
    """Return the strings that the tokenizer would read as special tokens."""
    added = tokenizer.get_added_vocab()
    marked = {token for token in added if token[:1] in "<[{|\uff5c\u3010"}
    return frozenset({*tokenizer.all_special_tokens, *marked})


def encode(tokenizer: Any, prompt: Prompt, prefix: str = "", *, thinking: bool = True) -> Encoded:
    """Encode a prompt, followed by the prefix of the answer."""
    last = max(i for i, turn in enumerate(prompt) if turn.role == "user")
    ids: list[int] = []
    offsets: list[tuple[int, int] | None] = []
    for text, turn in [*_segments(tokenizer, prompt, thinking=thinking), (prefix, None)]:
        if not text:
            continue
        piece = tokenizer(
            text,
            add_special_tokens=False,
            split_special_tokens=turn is not None,
            return_offsets_mapping=turn == last,
        )
        ids += piece["input_ids"]
        inside = turn == last
        offsets += piece["offset_mapping"] if inside else [None] * len(piece["input_ids"])
    if not ids:
        raise BackendError("the chat template renders an empty prompt")
    return Encoded(ids, offsets)


def _segments(
    tokenizer: Any, prompt: Sequence[ChatMessage], *, thinking: bool
) -> list[tuple[str, int | None]]:
    """Split a prompt into texts with the index of their message, None for the template."""
    if not getattr(tokenizer, "chat_template", None):
        segments: list[tuple[str, int | None]] = []
        for number, turn in enumerate(prompt):
            segments += [(turn.content, number), ("\n", None)]
        return segments
    names = [f"{_OPEN}{number}{_CLOSE}" for number in range(len(prompt))]
    chat = [{"role": turn.role, "content": name} for turn, name in zip(prompt, names, strict=True)]
    rendered = tokenizer.apply_chat_template(
        chat, tokenize=False, add_generation_prompt=True, enable_thinking=thinking
    )
    segments, rest = [], rendered
    for number, (turn, name) in enumerate(zip(prompt, names, strict=True)):
        before, found, after = rest.partition(name)
        if found:  # a template may drop a message, such as earlier reasoning
            segments += [(before, None), (turn.content, number)]
            rest = after
    return [*segments, (rest, None)]
