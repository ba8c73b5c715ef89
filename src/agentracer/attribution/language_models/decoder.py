"""Decode one output token by token: free reasoning, then an answer that follows its grammar.

The decoder gets the logits of each position and picks the next token. It does not call the model,
so that it serves single and batched generation alike.
"""

from __future__ import annotations

from typing import Any

from agentracer.attribution.language_models.base import OutputGrammar, Sampling
from agentracer.attribution.language_models.grammar import GrammarCompiler

__all__ = ["Decoder"]

_SPARE = 4  # tokens reserved in addition to the longest answer


class Decoder:
    """The state of one output while it is generated.

    Args:
        grammar: of the output.
        sampling: sampling parameters; `max_tokens` bounds reasoning and answer together.
        number: index of the sample; added to the seed.
        tokenizer: of the model.
        compiler: of grammars for that tokenizer.
        stop: ids that end an output.

    Attributes:
        tokens: ids of the tokens so far.
    """

    def __init__(
        self,
        grammar: OutputGrammar,
        sampling: Sampling,
        number: int,
        *,
        tokenizer: Any,
        compiler: GrammarCompiler,
        stop: frozenset[int],
    ) -> None:
        self.tokens: list[int] = []
        self._grammar, self._max_tokens = grammar, sampling.max_tokens
        self._sample = _Sampler(sampling.temperature, sampling.seed + number)
        self._tokenizer, self._compiler, self._stop = tokenizer, compiler, stop
        self._closing: list[int] = []
        self._matcher: Any = None
        self._ended = False
        self._thinking = bool(grammar.reasoning_end)
        if self._thinking:
            self._reasoning_limit = max(self._max_tokens - self._answer_tokens(), 1)
        else:
            self._end_reasoning()

    @property
    def text(self) -> str:
        """The output so far, with the prefix of its grammar."""
        return self._grammar.prefix + str(self._tokenizer.decode(self.tokens))

    @property
    def complete(self) -> bool:
        """Whether no token can follow."""
        spent = not self._thinking and not self._closing and len(self.tokens) >= self._max_tokens
        return self._ended or spent

    def next_token(self, logits: Any) -> int | None:
        """Pick and append the next token; None where the output has ended.

        Args:
            logits: of every token, of shape (1, vocabulary); changed in place.
        """
        token = self._reasoning(logits) if self._thinking else None
        if token is None:
            token = self._closing.pop(0) if self._closing else self._answer(logits)
        if token is not None:
            self.tokens.append(token)
        return token

    def _reasoning(self, logits: Any) -> int | None:
        """Return the next token of the reasoning; None once it has ended."""
        if self._reasoning_has_ended():
            self._end_reasoning()
            return None
        token = self._sample(logits) if len(self.tokens) < self._reasoning_limit else None
        if token is None or token in self._stop:
            # The reasoning did not end: close it, so that an answer can follow.
            self._closing = self._encoded(self._grammar.reasoning_end)
            self._end_reasoning()
            return None
        return token

    def _end_reasoning(self) -> None:
        self._thinking = False
        self._matcher = self._compiler.matcher(self._grammar)

    def _reasoning_has_ended(self) -> bool:
        end = self._grammar.reasoning_end
        return end in self._tokenizer.decode(self.tokens[-2 * len(end) :])

    def _answer(self, logits: Any) -> int | None:
        if self.complete:
            return None
        if self._matcher is not None:
            self._compiler.mask(self._matcher, logits)
        token = self._sample(logits)
        if token in self._stop:
            self._ended = True
            return None
        if self._matcher is not None:
            self._matcher.accept_token(token)
            self._ended = bool(self._matcher.is_terminated())
        return token

    def _answer_tokens(self) -> int:
        """Return the tokens to reserve for the answer after the reasoning."""
        longest = (max(len(self._encoded(t)) for t in texts) for texts in self._grammar.choices)
        return _SPARE + sum(longest)

    def _encoded(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


class _Sampler:
    """Pick the next token: the most likely one, or at random with the given seed."""

    def __init__(self, temperature: float, seed: int) -> None:
        import torch

        self.temperature = temperature
        self._random = torch.Generator().manual_seed(seed)

    def __call__(self, logits: Any) -> int:
        import torch

        if self.temperature <= 0:
            return int(logits.argmax(-1))
        # On the CPU: generators of other devices give other numbers.
        probabilities = torch.softmax(logits[0].cpu() / self.temperature, dim=-1)
        return int(torch.multinomial(probabilities, 1, generator=self._random))
