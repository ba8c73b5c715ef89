"""What a language model is to a judge: prompts in, texts of a given form out, and token counts.

Where it runs (in this process, behind a URL) is the business of the modules beside this one. A
`Reply` may be an error: what goes wrong for one prompt of a batch costs only that prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from agentracer.errors import BackendError
from agentracer.usage import Usage

__all__ = [
    "Completion",
    "ContextExceeded",
    "Form",
    "LanguageModel",
    "Prompt",
    "Reply",
    "Request",
    "Sampling",
    "Scorer",
    "Span",
    "SpanScore",
    "Turn",
]


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


Prompt = tuple[Turn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The form of an output: free reasoning and then a choice a slot, or a JSON object.

    A constraint from the first token on would take the reasoning away, and with it the right
    answer. So what is constrained begins after the reasoning: `until` ends it, and is written for
    the model where it does not come to an end by itself.

    Attributes:
        lead: what the output begins with.
        until: what ends the free reasoning; empty where there is none.
        slots: what may follow: of each slot one text.
        schema: the JSON Schema of the whole output, in place of all of the above.
    """

    lead: str = ""
    until: str = ""
    slots: tuple[tuple[str, ...], ...] = ()
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How outputs are drawn: `n` of them, each with a seed of its own made from `seed`."""

    n: int = 1
    temperature: float = 0.0
    seed: int = 0
    max_tokens: int = 2_048


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt and what is wanted of it."""

    prompt: Prompt
    form: Form
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One output.

    Attributes:
        text: all of it, with the lead of its form.
        usage: one model call and its tokens. Input tokens that n samples of one request share are
            counted at the first.
    """

    text: str
    usage: Usage = field(default_factory=lambda: Usage(model_calls=1))


Reply = list[Completion] | BackendError


class ContextExceeded(BackendError):
    """A prompt does not fit the model; `limit` is its context length, where that was said."""

    def __init__(self, message: str, *, limit: int | None = None) -> None:
        self.limit = limit
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` of the last user turn of a prompt."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SpanScore:
    """How a model reads a span.

    Attributes:
        surprise: mean negative log likelihood of the span's least expected quarter of tokens.
        attention: weight that the end of the prompt pays to the span, by token; None if unknown.
        tokens: length of the span.
    """

    surprise: float
    attention: float | None
    tokens: int


class LanguageModel(Protocol):
    """Any causal language model that follows a chat.

    Attributes:
        name: the spec that it was made from, without secrets.
        answer_format: the form of answer that it knows best.
        remote: whether it runs elsewhere, so that waiting for it costs nothing here.
    """

    name: str
    answer_format: Literal["tagged", "json"]
    remote: bool

    @property
    def context_length(self) -> int | None:
        """Tokens of prompt and output together; None where nobody said."""
        ...

    @property
    def special_tokens(self) -> frozenset[str]:
        """Strings that its tokenizer would not read as text."""
        ...

    @property
    def batch(self) -> int:
        """Requests that are best sent together."""
        ...

    @property
    def versions(self) -> Mapping[str, str]:
        """What its outputs depend on."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, by the model's own tokenizer where it has one; never too few."""
        ...

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, in order."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """A language model in this process, which can be asked how it reads."""

    def score(self, prompt: Prompt, spans: Sequence[Span]) -> tuple[list[SpanScore], Completion]:
        """How it reads spans of the last user turn; the completion counts the tokens."""
        ...
