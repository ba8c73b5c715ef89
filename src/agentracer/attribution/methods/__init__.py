"""Methods of attribution with a language model, by name.

A new method is one function in a module of this package, and one line in `_FUNCTIONS`. Help texts,
errors and checks of the documentation read the names from `METHODS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentracer.attribution.methods.base import Method

__all__ = ["METHODS", "load_method"]

_FUNCTIONS = {
    "all-at-once": "whole_run:all_at_once",
    "requirements-first": "whole_run:requirements_first",
    "step-by-step": "whole_run:step_by_step",
    "binary-search": "whole_run:binary_search",
    "windowed": "windows:windowed",
    "rerank": "whole_run:rerank",
    "prefill": "prefill:prefill",
}

METHODS: tuple[str, ...] = tuple(_FUNCTIONS)
"""The names of all methods; the first one is the default."""


def load_method(name: str) -> Method:
    """Import the method with this name.

    Raises:
        ValueError: there is no such method.
    """
    if name not in _FUNCTIONS:
        raise ValueError(f"there is no method {name!r}\n  remedy: use one of {', '.join(METHODS)}")
    module, _, function = _FUNCTIONS[name].partition(":")
    method: Method = getattr(import_module(f"{__name__}.{module}"), function)
    return method
