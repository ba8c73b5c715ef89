"""Names of an earlier release, which still work and say what they are called now."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from typing import Any

__all__ = ["renamed"]

_REMOVED = "0.4.0"


def renamed(module: str, name: str, names: Mapping[str, str]) -> Any:
    """Return what a name of an earlier release stands for, with a warning.

    To be called by the `__getattr__` of a module.

    Args:
        module: name of the module.
        name: the attribute that the module does not have.
        names: by earlier name, the name of today in the same module.

    Raises:
        AttributeError: it never was a name of the module.
    """
    if name not in names:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    message = f"{module}.{name} is now {module}.{names[name]}; the old name goes in {_REMOVED}"
    warnings.warn(message, DeprecationWarning, stacklevel=3)
    return getattr(importlib.import_module(module), names[name])
