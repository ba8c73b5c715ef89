"""One self-contained HTML file for a trace and its verdict: works from disk, offline, for years.

Python writes the data, the assets beside this module draw it. Every string of the trace is
hostile, and three walls stand between it and the reader's browser:

1. The data is a JSON island in which no character can end the island or start a tag.
2. The scripts show it as text nodes only; no sink that parses HTML is used.
3. A content security policy allows exactly the scripts and the style shipped here, by hash, and
   forbids every request, so that a hole in 1 or 2 would still run and send nothing.

Messages stay shared as in the trace: what a step read is looked up when a reader unfolds it.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
import secrets
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from agentracer.encoding import clean_text
from agentracer.report import wording
from agentracer.report.untrusted import UNSEEN, visible
from agentracer.trace import Trace
from agentracer.verdict import Verdict

__all__ = ["render", "write"]

_SCRIPTS = ("text.js", "list.js", "lanes.js", "steps.js", "verdict.js", "report.js")
_STYLES = ("report.css",)
_TITLE_LENGTH = 80
# Beyond what could end the island, whatever an editor showing the source would obey.
_ISLAND_ESCAPED = re.compile(f"[<>&{UNSEEN}]")


def render(trace: Trace, verdict: Verdict | None = None) -> str:
    """The report as the text of one HTML file.

    Args:
        trace: the run to show.
        verdict: who and what made it fail, if that was asked.

    Returns:
        HTML that refers to nothing outside itself.
    """
    scripts, styles = _assets()
    return _template().render(
        title=_title(trace),
        policy=_policy(scripts, styles),
        scripts=scripts,
        styles=styles,
        data=Markup(_island(trace, verdict)),  # noqa: S704 - escaped by _island
    )


def write(path: str | Path, trace: Trace, verdict: Verdict | None = None) -> Path:
    """Write the report, all or nothing: a reader never finds half a file.

    Args:
        path: where to; missing folders are made.
        trace: the run to show.
        verdict: who and what made it fail, if that was asked.

    Returns:
        The path written.
    """
    path = Path(path)
    page = render(trace, verdict).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        with scratch.open("xb") as file:
            file.write(page)
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    return path


def _title(trace: Trace) -> str:
    first = next((line for line in trace.task.splitlines() if line.strip()), trace.id)
    shown = visible(first)
    return shown if len(shown) <= _TITLE_LENGTH else f"{shown[: _TITLE_LENGTH - 1]}…"


def _island(trace: Trace, verdict: Verdict | None) -> str:
    words = {
        "outcome": wording.outcome(trace.outcome),
        "summary": wording.summary(trace),
        **(_verdict_words(verdict) if verdict is not None else {}),
    }
    found = None if verdict is None else verdict.model_dump(mode="json")
    data = (
        f'{{"trace":{trace.to_json()},"verdict":{json.dumps(found, ensure_ascii=False)},'
        f'"words":{json.dumps(words, ensure_ascii=False)}}}'
    )
    # These characters occur only inside JSON strings, where an escape means the same.
    return _ISLAND_ESCAPED.sub(_json_escape, clean_text(data))


def _json_escape(found: re.Match[str]) -> str:
    units = found.group().encode("utf-16-be")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def _verdict_words(verdict: Verdict) -> dict[str, str]:
    words = {
        "confidence": wording.confidence(verdict),
        "provenance": wording.provenance(verdict.provenance),
    }
    if verdict.verification is not None:
        words["verification"] = wording.verification(verdict.verification)
    return words


def _policy(scripts: list[Markup], styles: list[Markup]) -> str:
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
def _assets() -> tuple[list[Markup], list[Markup]]:
    return [_asset(name) for name in _SCRIPTS], [_asset(name) for name in _STYLES]


def _asset(name: str) -> Markup:
    text = (resources.files("agentracer.report") / "assets" / name).read_text(encoding="utf-8")
    return Markup(text.replace("\r\n", "\n"))  # noqa: S704 - a file of ours, not of a trace


@functools.cache
def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("agentracer.report", "assets")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("report.html.jinja")
