"""A stand-in that reads and answers nothing: what would a method send, and how much of it?

It answers with the shortest valid text of the form asked for, and always so that a method goes on
for as long as it can (no step is decisive, the error is in the second half). Prompts that begin
like the one before are counted as a prefix cache would find them.
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
    Form,
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
    batch = 1
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
        self._before: Sequence[Any] = ()

    def count_tokens(self, text: str) -> int:
        """By the tokenizer, or by bytes."""
        return len(self._ids(text))

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """The shortest valid answers."""
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        ids = self._ids("\n".join(turn.content for turn in request.prompt))
        if len(ids) >= self.context_length:
            return ContextExceeded(f"{len(ids)} tokens", limit=self.context_length)
        pairs = zip(self._before, ids, strict=False)
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        self._before = ids
        text = _shortest(request.form)
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
    specs.need("transformers", "tokenizers")
    from tokenizers import Tokenizer

    path = Path(place)
    return Tokenizer.from_file(str(path / "tokenizer.json" if path.is_dir() else path))


def _shortest(form: Form) -> str:
    if form.schema is None:
        said = (next((one for one in slot if one in _PREFERRED), slot[0]) for slot in form.slots)
        return form.lead + form.until + "".join(said)
    answer: dict[str, Any] = {}
    for name, kind in form.schema["properties"].items():
        values = kind.get("enum", [[] if kind.get("type") == "array" else ""])
        answer[name] = next((one for one in values if one in _PREFERRED), values[0])
    if "step" in answer:
        answer["agent"] = ""  # the step's own
    return json.dumps(answer)
