"""A model that only counts tokens, to measure what a method would send.

It answers with the shortest valid text, always so that a method continues for as long as possible
(no step is decisive, the error is in the second half). A beginning that a prompt shares with the
one before counts as cached.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from agentracer.attribution.language_models import specs
from agentracer.attribution.language_models.base import (
    Completion,
    ContextExceeded,
    OutputGrammar,
    Reply,
    Request,
)
from agentracer.usage import Usage

__all__ = ["CountingModel"]

_BYTES_PER_TOKEN = 4
_PREFERRED = ("no", "second")


class CountingModel:
    """Counts tokens with a tokenizer, or four bytes as one token without.

    Args:
        tokenizer: a `tokenizer.json`, or the folder of one.
        context: tokens of prompt and output.

    Raises:
        MissingExtra: a tokenizer is named, and the package tokenizers is not installed.
    """

    remote = False
    batch_size = 1
    special_tokens: frozenset[str] = frozenset()

    def __init__(
        self,
        tokenizer: Path | str | None = None,
        *,
        context: int = 131_072,
        answer_format: Literal["tagged", "json"] = "json",
    ) -> None:
        self.name = f"counting:{tokenizer or 'bytes'}"
        self.answer_format = answer_format
        self.context_length = context
        self.versions = {"token_count": "tokenizer" if tokenizer else "estimate"}
        self._tokenizer = _load(tokenizer)
        self._previous: Sequence[Any] = ()

    def count_tokens(self, text: str) -> int:
        """Count with the tokenizer, or four bytes as one token."""
        return len(self._ids(text))

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Return the shortest valid answers."""
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        ids = self._ids("\n".join(turn.content for turn in request.prompt))
        if len(ids) >= self.context_length:
            return ContextExceeded(f"{len(ids)} tokens", limit=self.context_length)
        pairs = zip(self._previous, ids, strict=False)
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        self._previous = ids
        text = _shortest(request.grammar)
        once = Completion(
            text=text,
            usage=Usage(
                model_calls=1,
                input_tokens=len(ids),
                cached_tokens=shared,
                output_tokens=self.count_tokens(text),
            ),
        )
        return [once] * request.sampling.n

    def _ids(self, text: str) -> Sequence[Any]:
        if self._tokenizer is None:
            data = text.encode(errors="replace")
            return [data[i : i + _BYTES_PER_TOKEN] for i in range(0, len(data), _BYTES_PER_TOKEN)]
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def _load(place: Path | str | None) -> Any:
    if place is None:
        return None
    specs.require_extra("transformers", "tokenizers")
    from tokenizers import Tokenizer

    path = Path(place)
    return Tokenizer.from_file(str(path / "tokenizer.json" if path.is_dir() else path))


def _shortest(grammar: OutputGrammar) -> str:
    if grammar.json_schema is None:
        texts = (next((c for c in group if c in _PREFERRED), group[0]) for group in grammar.choices)
        return grammar.prefix + grammar.reasoning_end + "".join(texts)
    answer: dict[str, Any] = {}
    for name, kind in grammar.json_schema["properties"].items():
        shortest: Any = [""] * kind.get("minItems", 0) if kind.get("type") == "array" else ""
        values = kind.get("enum", [shortest])
        answer[name] = next((value for value in values if value in _PREFERRED), values[0])
    if "step" in answer:
        answer["agent"] = ""  # the step's own
    return json.dumps(answer)
