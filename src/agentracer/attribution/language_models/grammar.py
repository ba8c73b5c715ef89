"""Constrained decoding with xgrammar: which tokens may come next."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from agentracer.attribution.language_models.base import OutputGrammar

__all__ = ["GrammarCompiler", "choices_regex"]

_CACHE_SIZE = 256  # compiled grammars; each run has its own labels, so few are used again


def choices_regex(choices: Sequence[Sequence[str]]) -> str:
    """Return the regular expression of a sequence of choices between literal texts."""
    return "".join(f"({'|'.join(map(_literal, texts))})" for texts in choices)


def _literal(text: str) -> str:
    # re.escape escapes blanks and more, which other regex dialects do not know.
    return re.sub(r"([\\.^$*+?{}\[\]|()\/])", r"\\\1", text)


class GrammarCompiler:
    """Compiles output grammars for one tokenizer.

    Args:
        tokenizer: of the model.
        vocabulary: rows of the output layer of the model; may be more than the tokens there are.
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

    def matcher(self, grammar: OutputGrammar) -> Any:
        """Return a new matcher for the part after the reasoning; None for free text."""
        if grammar.json_schema is not None:
            compiled = self._compile(json.dumps(grammar.json_schema), grammar.json_schema)
        elif grammar.choices:
            compiled = self._compile(choices_regex(grammar.choices), None)
        else:
            return None
        return self._xgrammar.GrammarMatcher(compiled, terminate_without_stop_token=True)

    def _compile(self, key: str, schema: Mapping[str, Any] | None) -> Any:
        if key not in self._compiled:
            if len(self._compiled) >= _CACHE_SIZE:
                self._compiled.clear()
            if schema is None:
                grammar = self._compiler.compile_regex(key)
            else:
                # With free white space a model can fill its budget with blanks.
                grammar = self._compiler.compile_json_schema(
                    key, any_whitespace=False, strict_mode=True
                )
            self._compiled[key] = grammar
        return self._compiled[key]

    def mask(self, matcher: Any, logits: Any) -> None:
        """Set the logits of tokens that may not come next to minus infinity, in place."""
        bitmask = self._xgrammar.allocate_token_bitmask(1, self.vocabulary)
        if matcher.fill_next_token_bitmask(bitmask):
            self._xgrammar.apply_token_bitmask_inplace(logits, bitmask.to(logits.device))
