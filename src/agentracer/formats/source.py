"""Read files and JSON text, with errors that name file, place and remedy.

A file of JSON can be missing, empty, binary, cut off, nested too deeply or hold NaN: each becomes a
`FormatError`, and so does a pydantic error.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from agentracer.errors import FormatError

__all__ = ["MAX_BYTES", "Source", "format_error", "natural_order", "parse_json", "read_text"]

MAX_BYTES = 512 * 1024 * 1024
"""Larger files are refused before they are read: parsed JSON takes several times its size."""


@dataclass(frozen=True)
class Source:
    """A file and its content, read and parsed on first use.

    Attributes:
        path: the file; a name only, where `content` is given.
        content: what was read from elsewhere, such as standard input.
    """

    path: Path
    content: bytes | None = None

    @cached_property
    def text(self) -> str:
        """The text of the file.

        Raises:
            FormatError: it cannot be read, or is not UTF-8.
        """
        return read_text(self.path) if self.content is None else _decode(self.content, self.path)

    @cached_property
    def data(self) -> Any:
        """The parsed file.

        Raises:
            FormatError: it cannot be read, or is not JSON.
        """
        return parse_json(self.text, source=self.path)


def read_text(path: Path) -> str:
    """The text of a UTF-8 file of at most `MAX_BYTES` (a byte-order mark is dropped).

    Raises:
        FormatError: it is missing, a folder, unreadable, too large or not UTF-8.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise FormatError(
                f"the file holds {size} bytes, more than {MAX_BYTES}",
                source=path,
                remedy="split it into one file per run",
            )
        return _decode(path.read_bytes(), path)
    except OSError as error:
        problem = error.strerror or str(error)
        remedy = "check the path and its permissions"
        raise FormatError(problem, source=path, remedy=remedy) from error


def _decode(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(
            "not a text file in UTF-8",
            source=path,
            place=f"byte {error.start}",
            remedy="give a JSON file; decompress or re-encode it first if need be",
        ) from error


def parse_json(text: str, *, source: str | Path | None = None) -> Any:
    """Parse strict JSON: unlike `json.loads`, NaN and Infinity are refused.

    Raises:
        FormatError: empty, not JSON, cut off, or nested too deeply to be read.
    """
    if not text.strip():
        remedy = "the writer may have been killed: export the run again"
        raise FormatError("the file is empty", source=source, remedy=remedy)
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise _not_json(error, text, source) from error
    except RecursionError as error:
        raise FormatError(
            "the JSON is nested too deeply",
            source=source,
            remedy="no format needs more than 100 levels: check what wrote this file",
        ) from error
    except ValueError as error:  # a constant, or an integer beyond Python's digit limit
        remedy = "write such values as null or as text"
        raise FormatError(f"not JSON: {error}", source=source, remedy=remedy) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _not_json(error: json.JSONDecodeError, text: str, source: str | Path | None) -> FormatError:
    cut_off = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
    if cut_off:
        problem = "the JSON ends too early: the file seems to be cut off"
        remedy = "copy or export it again, whole"
    else:
        problem = f"not JSON: {error.msg}"
        remedy = "give a JSON file, or correct the text at this place"
    place = f"line {error.lineno}, column {error.colno}"
    return FormatError(problem, source=source, place=place, remedy=remedy)


def format_error(error: ValidationError, *, source: str | Path | None, remedy: str) -> FormatError:
    """The first finding of a pydantic error, in our words, with the path of the field."""
    findings = error.errors(include_url=False, include_context=False)
    first = findings[0]
    problem = first["msg"].removeprefix("Value error, ")
    if len(findings) > 1:
        problem += f" (and {len(findings) - 1} more)"
    return FormatError(problem, source=source, place=field_path(first["loc"]), remedy=remedy)


def field_path(location: tuple[int | str, ...]) -> str | None:
    """`("steps", 3, "content")` as `steps[3].content`; None for the document itself."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    return "".join(parts).removeprefix(".") or None


def natural_order(path: Path) -> tuple[tuple[str, int, str], ...]:
    """Sort key that puts `2.json` before `10.json`."""
    pieces = re.findall(r"(\D*)(\d*)", str(path))
    return tuple((text, int(digits or -1), digits) for text, digits in pieces)
