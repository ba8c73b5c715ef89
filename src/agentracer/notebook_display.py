"""How objects of the schema show themselves in a notebook.

The schema (`trace`, `verdict`) is imported by the report and must not import it. So a class asks
here for its HTML. The function that makes it is known by name, and imported when a notebook first
shows an object.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["render_html"]

_RENDERERS = {
    "Trace": "agentracer.report.notebook:trace_card",
    "Verdict": "agentracer.report.notebook:verdict_card",
}


def render_html(value: Any) -> str:
    """Return the HTML of an object, for its `_repr_html_`.

    Raises:
        LookupError: there is no function for its class.
    """
    for kind in type(value).__mro__:
        if kind.__name__ in _RENDERERS:
            module, _, function = _RENDERERS[kind.__name__].partition(":")
            html: str = getattr(import_module(module), function)(value)
            return html
    raise LookupError(f"there is no HTML renderer for {type(value).__name__}")
