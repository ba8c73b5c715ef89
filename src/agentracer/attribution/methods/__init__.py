"""Methods of attribution with a language model, by name."""

from agentracer.attribution.methods.base import Case, Finding, Method, Options, Steps
from agentracer.attribution.methods.prefill import prefill
from agentracer.attribution.methods.whole import (
    all_at_once,
    binary_search,
    rerank,
    step_by_step,
)
from agentracer.attribution.methods.windows import windowed

__all__ = ["METHODS", "Case", "Finding", "Method", "Options", "Steps"]

METHODS: dict[str, Method] = {
    "all-at-once": all_at_once,
    "step-by-step": step_by_step,
    "binary-search": binary_search,
    "windowed": windowed,
    "rerank": rerank,
    "prefill": prefill,
}
