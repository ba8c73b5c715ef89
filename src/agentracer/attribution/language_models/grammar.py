"""Constrained decoding through xgrammar: which tokens may come next."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from agentracer.attribution.language_models.base import Form

__all__ = ["Grammars", "slots_regex"]

_KEPT = 256  # compiled grammars; each trace has labels of its own, so few of them come again


def slots_regex(slots: Sequence[Sequence[str]]) -> str:
    """A regular expression of literal alternatives, slot after slot."""
    return "".join(f"({'|'.join(map(_literal, slot))})" for slot in slots)


def _literal(text: str) -> str:
    # re.escape escapes blanks and more, which other regex dialects do not know.
    return re.sub(r"([\\.^$*+?{}\[\]|()\/])", r"\\\1", text)


class Grammars:
    """Compiles forms for one tokenizer.

    Args:
        tokenizer: of the model.
        vocabulary: rows of its output layer, which may be more than the tokenizer has tokens.
        stop: ids that end an answer.
    """

    def __init__(self, tokenizer: Any, vocabulary: int, stop: Sequence[int]) -> None:
        import xgrammar

        self._xgrammar = xgrammar
        self.vocabulary = vocabulary
        info = xgrammar.TokenizerInfo.from_huggingface(
            tokenizer, vocab_size=vocabulary, stop_token_ids=list(stop)
        )
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=1)
        self._compiled: dict[str, Any] = {}

    def matcher(self, form: Form) -> Any:
        """A fresh matcher for what follows the reasoning of a form; None for free text."""
        if form.schema is not None:
            compiled = self._compile(json.dumps(form.schema), form.schema)
        elif form.slots:
            compiled = self._compile(slots_regex(form.slots), None)
        else:
            return None
        return self._xgrammar.GrammarMatcher(compiled, terminate_without_stop_token=True)

    def _compile(self, key: str, schema: Mapping[str, Any] | None) -> Any:
        if key not in self._compiled:
            if len(self._compiled) >= _KEPT:
                self._compiled.clear()
            if schema is None:
                made = self._compiler.compile_regex(key)
            else:
                # Free white space lets a model fill its budget with blanks.
                made = self._compiler.compile_json_schema(
                    key, any_whitespace=False, strict_mode=True
                )
            self._compiled[key] = made
        return self._compiled[key]

    def mask(self, matcher: Any, logits: Any) -> None:
        """Make every token that may not come next impossible, in place."""
        bitmask = self._xgrammar.allocate_token_bitmask(1, self.vocabulary)
        if matcher.fill_next_token_bitmask(bitmask):
            self._xgrammar.apply_token_bitmask_inplace(logits, bitmask.to(logits.device))
