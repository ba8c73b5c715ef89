"""A hook of mkdocs: links that lead out of `docs/` name the file in the repository instead.

On a code host such a link opens the file; the built site does not hold it.
"""

from __future__ import annotations

import re
from typing import Any

_OUT = re.compile(r"\[([^\]]+)\]\(\.\./([^)]+)\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Rewrite one page before it is rendered."""
    return _OUT.sub(lambda link: _named(link[1], link[2]), markdown)


def _named(text: str, path: str) -> str:
    shown = text.strip("`")
    return f"`{path}`" if shown in path else f"{text} (`{path}`)"
