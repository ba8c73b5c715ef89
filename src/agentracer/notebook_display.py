"""How objects of the schema show themselves in a notebook.

The schema (`trace`, `verdict`) is imported by the report and must not import it. So a class asks
here for its HTML, and the package registers where the function is that makes it. That function is
imported when a notebook first shows an object.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["register_html", "render_html"]

_renderers: dict[str, str] = {}


def register_html(class_name: str, renderer: str) -> None:
    """Set the function that shows the objects of a class.

    Args:
        class_name: such as `Trace`.
        renderer: `MODULE:FUNCTION`; the function takes the object and returns HTML.
    """
    _renderers[class_name] = renderer


def render_html(value: Any) -> str:
    """Return the HTML of an object, for its `_repr_html_`.

    Raises:
        LookupError: no function is registered for its class.
    """
    for kind in type(value).__mro__:
        if kind.__name__ in _renderers:
            module, _, function = _renderers[kind.__name__].partition(":")
            html: str = getattr(import_module(module), function)(value)
            return html
    raise LookupError(f"no HTML renderer is registered for {type(value).__name__}")
