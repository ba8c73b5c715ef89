"""Language models behind one small protocol: in this process, or behind a URL."""

from agentracer.attribution.language_models.base import (
    Completion,
    ContextExceeded,
    Form,
    LanguageModel,
    Prompt,
    Reply,
    Request,
    Sampling,
    Scorer,
    Span,
    SpanScore,
    Turn,
)

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
