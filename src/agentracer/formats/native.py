"""Our own JSON: one `Trace`, as `Trace.to_json` writes it.

Whatever is wrong with a file becomes a `FormatError`. Journals of the store (`.jsonl`) are read by
`formats.journal`.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agentracer.errors import FormatError
from agentracer.formats.source import format_error, parse_json, read_text
from agentracer.trace import SCHEMA_VERSION, Trace

__all__ = ["dump", "is_trace", "load", "trace_of"]


def load(source: Path | str) -> Trace:
    """Read one trace.

    Args:
        source: a path, or the JSON text itself (a `str` that starts with `{` or is blank).

    Raises:
        FormatError: unreadable, not JSON, another major schema version, or a field that does not
            fit; the message names the file, the field and a remedy.
    """
    if isinstance(source, str) and (
        not source.strip() or source.lstrip("\ufeff \t\r\n")[:1] == "{"
    ):
        return trace_of(parse_json(source.removeprefix("\ufeff")))
    path = Path(source)
    return trace_of(parse_json(read_text(path), source=path), source=path)


def trace_of(data: Any, *, source: Path | None = None) -> Trace:
    """Validate parsed JSON as a trace.

    Raises:
        FormatError: as `load`.
    """
    if not isinstance(data, dict):
        raise FormatError(
            f"a trace is a JSON object, this is {_kind(data)}",
            source=source,
            remedy="give one trace per file, as Trace.to_json writes it",
        )
    version = str(data.get("schema_version", SCHEMA_VERSION))
    if version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
        raise FormatError(
            f"schema version {version} cannot be read, only {SCHEMA_VERSION}",
            source=source,
            place="schema_version",
            remedy="read it with the agentracer that wrote it, or record the run again",
        )
    try:
        return Trace.model_validate(data)
    except ValidationError as error:
        remedy = "compare the field with the schema (Trace.json_schema())"
        if version != SCHEMA_VERSION:
            remedy = f"the file says schema {version}, this is {SCHEMA_VERSION}: upgrade agentracer"
        raise format_error(error, source=source, remedy=remedy) from error


def dump(trace: Trace, path: Path | str | None = None, *, indent: int | None = None) -> str:
    """The trace as JSON text, also written to `path` if given (whole or not at all).

    Raises:
        OSError: `path` cannot be written.
    """
    text = trace.to_json(indent=indent)
    if path is not None:
        _write_whole(Path(path), text + "\n")
    return text


def is_trace(data: Any) -> bool:
    """Whether parsed JSON claims to be a trace of ours."""
    return isinstance(data, dict) and "observed" in data


def _write_whole(path: Path, text: str) -> None:
    # A reader beside us must never see half a file, so it appears under its name only when done.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _kind(data: Any) -> str:
    return {list: "a list", str: "text", type(None): "null"}.get(type(data), "a number")
