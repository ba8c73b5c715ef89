"""Failure attribution: a `Trace` in, a `Verdict` out."""

from agentracer.attribution.backends import (
    Backend,
    Judgement,
    SupportsAttribute,
    create_backend,
    known_models,
)
from agentracer.attribution.judgeability import Judgeability, judgeability
from agentracer.attribution.tracer import Tracer

__all__ = [
    "Backend",
    "Judgeability",
    "Judgement",
    "SupportsAttribute",
    "Tracer",
    "create_backend",
    "judgeability",
    "known_models",
]
