"""Language models behind one small protocol: in this process, or behind a URL."""

from agentracer.attribution.language_models.base import (
    ChatMessage,
    Completion,
    ContextExceeded,
    LanguageModel,
    OutputGrammar,
    Prompt,
    Reply,
    Request,
    Sampling,
    Scorer,
    SpanScore,
    TextSpan,
)

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
