"""Read and write traces in the formats of other tools, and choose the reader of a file.

A module that reads another format adds a `Reader` with `register`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentracer.errors import FormatError
from agentracer.formats import atif, journal, native, otel, tracertraj, whowhen
from agentracer.formats.source import Source, natural_order
from agentracer.trace import Trace

__all__ = ["Reader", "Source", "load_any", "load_text", "readers", "register"]


@dataclass(frozen=True)
class Reader:
    """How to recognise and read one format.

    Attributes:
        name: for messages, such as `Who&When log`.
        suffixes: of its files, lower case with the dot; a folder has the suffix `/`.
        accepts: whether the source is in this format; `Source.data` is its parsed JSON.
        read: the traces in it; raises `FormatError`.
    """

    name: str
    suffixes: tuple[str, ...]
    accepts: Callable[[Source], bool]
    read: Callable[[Source], Iterable[Trace]]


readers: list[Reader] = [
    Reader(
        name="TracerTraj",
        suffixes=(".jsonl",),
        accepts=lambda source: tracertraj.is_tracertraj(source.text),
        read=tracertraj.read,
    ),
    Reader(
        name="TracerTraj (parquet)",
        suffixes=(".parquet",),
        accepts=lambda source: tracertraj.is_parquet(source.path),
        read=tracertraj.read,
    ),
    Reader(
        name="agentracer journal",
        suffixes=(".jsonl",),
        accepts=lambda source: journal.is_journal(source.text),
        read=lambda source: [journal.trace_of(source.text, source=source.path)],
    ),
    # Before other JSON: its exporter writes one request per line into files of either ending.
    Reader(
        name="OpenTelemetry spans",
        suffixes=(".json",),
        accepts=otel.accepts,
        read=otel.traces_in,
    ),
    Reader(
        name="OpenTelemetry spans, one request per line",
        suffixes=(".jsonl",),
        accepts=otel.accepts,
        read=otel.traces_in,
    ),
    Reader(
        name="agentracer trace",
        suffixes=(".json",),
        accepts=lambda source: native.is_trace(source.data),
        read=lambda source: [native.trace_of(source.data, source=source.path)],
    ),
    Reader(
        name="Who&When log",
        suffixes=(".json",),
        accepts=lambda source: whowhen.is_whowhen(source.data),
        read=lambda source: [whowhen.trace_of(source.data, source=source.path)],
    ),
    Reader(
        name="ATIF trajectory",
        suffixes=(".json",),
        accepts=lambda source: atif.is_atif(source.data),
        read=lambda source: [atif.trace_of(source.data, source=source.path)],
    ),
]
"""Asked in this order; the first that accepts reads."""


def register(reader: Reader) -> None:
    """Add a format; a reader of the same name is replaced."""
    readers[:] = [reader, *(other for other in readers if other.name != reader.name)]


def load_any(path: Path | str, problems: list[str] | None = None) -> list[Trace]:
    """Read a file of any known format, or every such file below a folder in numeric order.

    Args:
        path: the file or folder.
        problems: gets a line for each file of a folder that cannot be read, and the others are
            returned. Without it, such a file is an error.

    Raises:
        FormatError: nothing there, an unknown format, or a file that is broken; with `problems`,
            only where no file of a folder can be read.
    """
    path = Path(path)
    if path.is_dir():
        return _load_folder(path, problems)
    return _load_file(path)


def load_text(content: bytes, *, name: str = "-") -> list[Trace]:
    """Read what was piped in, in any known format.

    Args:
        content: the bytes of one file.
        name: what messages call it.

    Raises:
        FormatError: see `load_any`.
    """
    source = Source(Path(name), content)
    lines = journal.is_journal(source.text) or tracertraj.is_tracertraj(source.text)
    candidates = [reader for reader in readers if (".jsonl" in reader.suffixes) == lines]
    return _read(source, candidates)


def _load_folder(folder: Path, problems: list[str] | None) -> list[Trace]:
    source = Source(folder)
    for reader in readers:
        if "/" in reader.suffixes and reader.accepts(source):
            return list(reader.read(source))
    suffixes = {suffix for reader in readers for suffix in reader.suffixes}
    matching = [file for file in folder.rglob("*") if file.suffix.lower() in suffixes]
    files = sorted((file for file in matching if _is_visible(file, folder)), key=natural_order)
    if not files:
        problem = f"no {' or '.join(sorted(suffixes - {'/'}))} file in this folder"
        raise FormatError(problem, source=folder, remedy=f"give {_reader_names(readers)}")
    traces: list[Trace] = []
    errors: list[FormatError] = []
    for file in files:
        try:
            traces += _load_file(file)
        except FormatError as error:
            if problems is None:
                raise
            errors.append(error)
    if errors and not traces:
        raise errors[0]
    if problems is not None:
        problems += map(str, errors)
    return traces


def _is_visible(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.is_file() and not hidden


def _load_file(path: Path) -> list[Trace]:
    suffix = path.suffix.lower()
    # A name says little: a file with any other ending is tried as JSON.
    candidates = [reader for reader in readers if suffix in reader.suffixes]
    return _read(
        Source(path), candidates or [reader for reader in readers if ".json" in reader.suffixes]
    )


def _read(source: Source, asked: Sequence[Reader]) -> list[Trace]:
    for reader in asked:
        if reader.accepts(source):
            return list(reader.read(source))
    remedy = f"give {_reader_names(readers)}"
    raise FormatError(f"in no known format{_seen(source)}", source=source.path, remedy=remedy)


def _seen(source: Source) -> str:
    """What the top of an unknown JSON file looks like, for the message."""
    try:
        data = source.data
    except FormatError:
        return ""
    if not isinstance(data, dict):
        return f": the JSON is a {type(data).__name__}, not an object"
    fields = ", ".join(repr(key) for key in list(data)[:5])
    return f": its fields are {fields}" if fields else ": the JSON object is empty"


def _reader_names(known: Sequence[Reader]) -> str:
    names = [f"{reader.name} ({', '.join(reader.suffixes)})" for reader in known]
    return "a file of one of these formats, or a folder of them: " + ", ".join(names)
