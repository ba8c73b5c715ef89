"""Chats into token ids, so that text from a trace can never become a special token.

A chat template is rendered around placeholders; what stands between them is the template's own and
may hold special tokens, what replaces them is text and is encoded as text, whatever it looks like.
The in-process backends share this, so that they read the very same ids.
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
    "checkpoint",
    "encode",
    "load_tokenizer",
    "special_tokens",
]

_OPEN, _CLOSE = "\ue010", "\ue011"  # private use: rendering replaces them in a trace
_NOTE = "agentracer.json"
_ADAPTER = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt as ids; `offsets` are the characters of the last user turn, None elsewhere."""

    ids: list[int]
    offsets: list[tuple[int, int] | None]

    def tokens_of(self, span: TextSpan) -> list[int]:
        """Positions of the tokens that begin inside a span of the last user turn."""
        return [
            position
            for position, at in enumerate(self.offsets)
            if at is not None and span.start <= at[0] < span.end
        ]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What lies at a path: a base model, perhaps an adapter, and the form it was trained on."""

    base: str
    adapter: str | None
    answer_format: Literal["tagged", "json"]


def checkpoint(scheme: str, place: str, settings: dict[str, str]) -> Checkpoint:
    """Find out what a spec points to, without loading it.

    A folder with `adapter_config.json` is a LoRA adapter, and names its base itself. A file
    `agentracer.json` with an `answer_format` says how the checkpoint was trained to answer.

    Raises:
        UnknownModel: there is no such folder, or its adapter cannot be read.
    """
    path, adapter = Path(place).expanduser(), settings.get("lora")
    looks_like_path = place.startswith((".", "/", "~"))
    if looks_like_path and not path.is_dir():
        raise UnknownModel(f"{scheme}: there is no folder {place}\n  remedy: correct the path")
    note = _note(path) | (_note(Path(adapter)) if adapter else {})
    base = str(path) if path.is_dir() else place
    if adapter is None and (path / _ADAPTER).is_file():
        adapter, base = str(path), adapter_config(scheme, str(path))["base_model_name_or_path"]
    elif adapter is not None:
        adapter_config(scheme, adapter)
    style = settings.get("format") or note.get("answer_format") or "json"
    if style not in {"json", "tagged"}:
        raise UnknownModel(f"{scheme}: {style!r} is no form of answer\n  remedy: json or tagged")
    return Checkpoint(base, adapter, cast("Literal['tagged', 'json']", style))


def adapter_config(scheme: str, folder: str) -> dict[str, Any]:
    """What peft wrote of a LoRA adapter.

    Raises:
        UnknownModel: the folder holds no adapter, or a damaged one.
    """
    file = Path(folder).expanduser() / _ADAPTER
    remedy = "name a folder that peft saved an adapter to"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnknownModel(f"{scheme}: {file}: {error}\n  remedy: {remedy}") from error
    if not isinstance(found, dict) or "base_model_name_or_path" not in found:
        raise UnknownModel(f"{scheme}: {file} names no base model\n  remedy: {remedy}")
    return found


def _note(path: Path) -> dict[str, Any]:
    file = path / _NOTE
    data = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return data if isinstance(data, dict) else {}


def load_tokenizer(scheme: str, found: Checkpoint) -> Any:
    """The tokenizer of a checkpoint, from disk only.

    Raises:
        UnknownModel: there is none.
    """
    from transformers import AutoTokenizer

    places = [place for place in (found.adapter, found.base) if place]
    for place in places:
        try:
            return AutoTokenizer.from_pretrained(place, local_files_only=True)
        except (OSError, ValueError) as error:
            failed = error
    raise UnknownModel(
        f"{scheme}:{found.base}: no tokenizer there: {failed}\n"
        "  remedy: nothing is downloaded; name a folder that holds the model"
    ) from failed


def special_tokens(tokenizer: Any) -> frozenset[str]:
    """Strings that would become tokens of another kind than text."""
    added = tokenizer.get_added_vocab()
    marked = {token for token in added if token[:1] in "<[{|\uff5c\u3010"}
    return frozenset({*tokenizer.all_special_tokens, *marked})


def encode(tokenizer: Any, prompt: Prompt, lead: str = "", *, thinking: bool = True) -> Encoded:
    """A prompt as ids, up to and with the lead of the answer."""
    last = max(i for i, turn in enumerate(prompt) if turn.role == "user")
    ids: list[int] = []
    offsets: list[tuple[int, int] | None] = []
    for text, turn in [*_segments(tokenizer, prompt, thinking=thinking), (lead, None)]:
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
        raise BackendError("the chat template makes an empty prompt of a run")
    return Encoded(ids, offsets)


def _segments(
    tokenizer: Any, prompt: Sequence[ChatMessage], *, thinking: bool
) -> list[tuple[str, int | None]]:
    """Texts with the number of their turn, None for the template's own."""
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
        if found:  # templates may drop a turn, such as the reasoning of an earlier answer
            segments += [(before, None), (turn.content, number)]
            rest = after
    return [*segments, (rest, None)]
