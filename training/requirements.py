"""Check that the libraries of the extra [train] are installed."""

from __future__ import annotations

from importlib.util import find_spec

from agentracer.errors import MissingExtra

__all__ = ["require"]


def require(*modules: str) -> None:
    """Check that modules of the extra [train] can be imported, without importing them.

    Raises:
        MissingExtra: one of them is not installed.
    """
    missing = [module for module in modules if not _is_installed(module)]
    if missing:
        raise MissingExtra("train", needed_for=f"training a tracer ({', '.join(missing)})")


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # `sys.modules` holds None for it: its import is blocked
        return False
