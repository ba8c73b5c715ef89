"""Build self-contained HTML files that work from disk and offline.

Python writes the data, the assets beside this module draw it. Every string of a trace is untrusted.
Three measures protect the reader's browser:

1. The data are JSON islands in which no character can end the island or start a tag.
2. The scripts show it as text nodes only; no sink that parses HTML is used.
3. A content security policy allows exactly the scripts and the style shipped here, by hash, and
   forbids every request, so that an error in 1 or 2 would still run and send nothing.

This module does not know what traces are: it gets the data and the names of the assets.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from agentracer.encoding import clean_text
from agentracer.escaping import CONTROL_CHARS, escape_control_chars

__all__ = ["asset", "fragment", "page", "title", "write"]

_TITLE_LENGTH = 80
# Beyond what could end the island, whatever an editor showing the source would obey.
_ISLAND_ESCAPED = re.compile(f"[<>&{CONTROL_CHARS}]")


def page(
    template: str,
    *,
    title: str,
    islands: Mapping[str, str],
    scripts: Sequence[str],
    styles: Sequence[str] = ("report.css",),
) -> str:
    """Build one HTML file that refers to nothing outside itself.

    Args:
        template: name of the asset that holds the body.
        title: title of the window, already escaped (see `title`).
        islands: element id to JSON text, in the order of the file.
        scripts: names of the assets that draw it, in the order in which they run.
        styles: names of the assets that style it.
    """
    script_texts = [asset(name) for name in scripts]
    style_texts = [asset(name) for name in styles]
    return _template(template).render(
        title=title,
        policy=_policy(script_texts, style_texts),
        scripts=script_texts,
        styles=style_texts,
        islands={name: _island(text) for name, text in islands.items()},
    )


def fragment(template: str, **values: object) -> str:
    """Render a piece of static HTML for other pages; every string in `values` is escaped."""
    return _template(template).render(**values)


def write(path: str | Path, text: str) -> Path:
    """Write a page atomically, so that no reader finds half a file.

    Args:
        path: the file; missing folders are created.
        text: the page.

    Returns:
        The path written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        with scratch.open("xb") as file:
            file.write(text.encode())
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    return path


def title(text: str, otherwise: str, most: int = _TITLE_LENGTH) -> str:
    """Return the first line of a text that is not blank, escaped and shortened."""
    first = next((line for line in text.splitlines() if line.strip()), otherwise)
    shown = escape_control_chars(first)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def _island(text: str) -> Markup:
    # These characters occur only inside JSON strings, where an escape means the same.
    escaped = _ISLAND_ESCAPED.sub(_json_escape, clean_text(text))
    return Markup(escaped)  # noqa: S704 - nothing in it can end the island


def _json_escape(found: re.Match[str]) -> str:
    units = found.group().encode("utf-16-be")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def _policy(scripts: Sequence[Markup], styles: Sequence[Markup]) -> str:
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src {' '.join(map(_hash, styles))}",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@functools.cache
def asset(name: str) -> Markup:
    """Return the text of a style or script of this package, for inclusion unchanged."""
    text = (resources.files("agentracer.report") / "assets" / name).read_text(encoding="utf-8")
    return Markup(text.replace("\r\n", "\n"))  # noqa: S704 - a file of ours, not of a trace


@functools.cache
def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("agentracer.report", "assets"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["escape_control_chars"] = escape_control_chars
    return environment.get_template(name)
