"""One output on its way, token by token: reasoning, an end to it, then an answer along its form.

It is told how likely each token is and picks the next one. Which model computed that, for one
output or for many at a time, is not its business.
"""

from __future__ import annotations

from typing import Any

from agentracer.attribution.language_models.base import Form, Sampling
from agentracer.attribution.language_models.grammar import Grammars

__all__ = ["Writing"]

_SPARE = 4  # tokens kept back beside the longest answer


class Writing:
    """What a model writes after one prompt.

    Args:
        form: of the output.
        sampling: how tokens are drawn; `max_tokens` bounds reasoning and answer together.
        number: which of the samples it is; each has a seed of its own.
        tokenizer: of the model.
        grammars: for that tokenizer.
        stop: ids that end an output.

    Attributes:
        written: the tokens so far.
    """

    def __init__(
        self,
        form: Form,
        sampling: Sampling,
        number: int,
        *,
        tokenizer: Any,
        grammars: Grammars,
        stop: frozenset[int],
    ) -> None:
        self.written: list[int] = []
        self._form, self._room = form, sampling.max_tokens
        self._draw = _Draw(sampling.temperature, sampling.seed + number)
        self._tokenizer, self._grammars, self._stop = tokenizer, grammars, stop
        self._closing: list[int] = []
        self._matcher: Any = None
        self._ended = False
        self._thinking = bool(form.until)
        if self._thinking:
            self._for_thought = max(self._room - self._for_answer(), 1)
        else:
            self._end_reasoning()

    @property
    def text(self) -> str:
        """All of it, with the lead of its form."""
        return self._form.lead + str(self._tokenizer.decode(self.written))

    @property
    def complete(self) -> bool:
        """Whether nothing can follow what is `written`."""
        spent = not self._thinking and not self._closing and len(self.written) >= self._room
        return self._ended or spent

    def next(self, logits: Any) -> int | None:
        """Pick the token after those that are `written`; None where it ends here.

        Args:
            logits: of every token, of shape (1, vocabulary); changed in place.
        """
        token = self._thought(logits) if self._thinking else None
        if token is None:
            token = self._closing.pop(0) if self._closing else self._answer(logits)
        if token is not None:
            self.written.append(token)
        return token

    def _thought(self, logits: Any) -> int | None:
        """The next token of the reasoning; None once it has ended, or was given an end."""
        if self._until_written():
            self._end_reasoning()
            return None
        token = self._draw(logits) if len(self.written) < self._for_thought else None
        if token is None or token in self._stop:
            # It had no end: it is given one, so that an answer can follow.
            self._closing = self._encoded(self._form.until)
            self._end_reasoning()
            return None
        return token

    def _end_reasoning(self) -> None:
        self._thinking = False
        self._matcher = self._grammars.matcher(self._form)

    def _until_written(self) -> bool:
        until = self._form.until
        return until in self._tokenizer.decode(self.written[-2 * len(until) :])

    def _answer(self, logits: Any) -> int | None:
        if self.complete:
            return None
        if self._matcher is not None:
            self._grammars.mask(self._matcher, logits)
        token = self._draw(logits)
        if token in self._stop:
            self._ended = True
            return None
        if self._matcher is not None:
            self._matcher.accept_token(token)
            self._ended = bool(self._matcher.is_terminated())
        return token

    def _for_answer(self) -> int:
        """Tokens to keep back for the answer after the reasoning."""
        longest = (max(len(self._encoded(text)) for text in slot) for slot in self._form.slots)
        return _SPARE + sum(longest)

    def _encoded(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


class _Draw:
    """Picks the next token: the likeliest, or at random with a seed of its own."""

    def __init__(self, temperature: float, seed: int) -> None:
        import torch

        self.temperature = temperature
        self._random = torch.Generator().manual_seed(seed)

    def __call__(self, logits: Any) -> int:
        import torch

        if self.temperature <= 0:
            return int(logits.argmax(-1))
        # Drawn on the CPU: generators of other devices give other numbers.
        chances = torch.softmax(logits[0].cpu() / self.temperature, dim=-1)
        return int(torch.multinomial(chances, 1, generator=self._random))
