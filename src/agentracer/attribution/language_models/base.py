"""The interface of language models for judges: prompts in, constrained texts and token counts out.

The other modules of this package implement it, for models in this process and behind a URL. A
`Reply` may be an error, so that a failure affects only one prompt of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from agentracer.errors import BackendError
from agentracer.usage import Usage

__all__ = [
    "ChatMessage",
    "Completion",
    "ContextExceeded",
    "LanguageModel",
    "OutputGrammar",
    "Prompt",
    "Reply",
    "Request",
    "Sampling",
    "Scorer",
    "SpanScore",
    "TextSpan",
]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


Prompt = tuple[ChatMessage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputGrammar:
    """The grammar of an output: free reasoning and then a sequence of choices, or a JSON object.

    A constraint from the first token on would prevent reasoning and make answers worse. So only
    the part after `reasoning_end` is constrained; `reasoning_end` is inserted where the model does
    not end its reasoning within the token limit.

    Attributes:
        prefix: text that the output begins with.
        reasoning_end: text that ends the free reasoning; empty where there is none.
        choices: what follows: one text out of each tuple, in order.
        json_schema: the JSON Schema of the whole output, instead of all of the above.
    """

    prefix: str = ""
    reasoning_end: str = ""
    choices: tuple[tuple[str, ...], ...] = ()
    json_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Sampling parameters: `n` outputs, the i-th with the seed `seed + i`."""

    n: int = 1
    temperature: float = 0.0
    seed: int = 0
    max_tokens: int = 2_048


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt, the grammar of its output, and how to sample it."""

    prompt: Prompt
    grammar: OutputGrammar
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One output.

    Attributes:
        text: the whole output, with the prefix of its grammar.
        usage: one model call and its tokens. Input tokens that n samples of one request share are
            counted at the first.
    """

    text: str
    usage: Usage = field(default_factory=lambda: Usage(model_calls=1))


Reply = list[Completion] | BackendError


class ContextExceeded(BackendError):
    """A prompt does not fit the model; `limit` is its context length in tokens, if known."""

    def __init__(self, message: str, *, limit: int | None = None) -> None:
        self.limit = limit
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class TextSpan:
    """Characters `start` to `end` of the last user message of a prompt."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SpanScore:
    """Likelihood and attention of a span, as computed in a prefill.

    Attributes:
        surprise: mean negative log likelihood (nats) of the least likely quarter of its tokens.
        attention: mean attention weight of its tokens for the end of the prompt; None if unknown.
        tokens: length of the span in tokens.
    """

    surprise: float
    attention: float | None
    tokens: int


class LanguageModel(Protocol):
    """A causal language model for chats.

    Attributes:
        name: the spec that it was made from, without secrets.
        answer_format: the format of answers that it was trained for.
        remote: whether it runs in another process or on another machine.
    """

    name: str
    answer_format: Literal["tagged", "json"]
    remote: bool

    @property
    def context_length(self) -> int | None:
        """Tokens of prompt and output together; None if unknown."""
        ...

    @property
    def special_tokens(self) -> frozenset[str]:
        """Strings that its tokenizer reads as special tokens."""
        ...

    @property
    def batch_size(self) -> int:
        """Requests that are best sent in one call of `generate`."""
        ...

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of the model and the libraries that its outputs depend on."""
        ...

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text, with the model's tokenizer if there is one; never too few."""
        ...

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Return one reply for each request, in order."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """A language model in this process that gives likelihoods of its prompt."""

    def score(
        self, prompt: Prompt, spans: Sequence[TextSpan]
    ) -> tuple[list[SpanScore], Completion]:
        """Score spans of the last user message; the completion holds the token counts."""
        ...
