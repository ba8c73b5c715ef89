"""TracerTraj in and out: ours, and the public data set of the paper (arXiv 2509.03312).

Both have one labelled failure in a row: `question_ID, question, ground_truth, history,
mistake_agent, mistake_step, mistake_reason`, steps 0-based. Ours adds the whole run in `trace`
(what every step read, tool calls with their results) and how the label came about. A public row
holds outputs only. JSONL always; parquet where pyarrow is installed.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentracer.errors import FormatError, MissingExtra
from agentracer.formats.native import trace_of as native_trace
from agentracer.formats.source import Source, parse_json
from agentracer.store import write_atomically
from agentracer.trace import (
    AgentInfo,
    GroundTruth,
    Label,
    Observed,
    Outcome,
    Step,
    Trace,
)

__all__ = [
    "PUBLIC_FIELDS",
    "is_parquet",
    "is_tracertraj",
    "load",
    "read",
    "read_rows",
    "trace_of",
    "write_jsonl",
    "write_parquet",
]

PUBLIC_FIELDS = (
    "question_ID",
    "question",
    "ground_truth",
    "history",
    "mistake_agent",
    "mistake_step",
    "mistake_reason",
)
"""The fields of the public data set."""

_NESTED = ("history", "verification", "trace")
_KEPT = ("domain", "framework", "topology", "origin", "operator", "verification", "split")
_REMEDY = "compare the row with docs/testbed.md"


def is_tracertraj(text: str) -> bool:
    """Whether the first line of a JSONL file is a row of TracerTraj."""
    try:
        first = json.loads(text.lstrip().partition("\n")[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and {"question_ID", "history"} <= first.keys()


def is_parquet(path: Path) -> bool:
    """Whether a file is parquet, by its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:
        return False


def load(path: Path | str) -> list[Trace]:
    """Read every row of a JSONL or parquet file as a trace.

    Raises:
        FormatError: it cannot be read, or a row does not fit; the message names the row.
        MissingExtra: parquet without pyarrow.
    """
    return read(Source(Path(path)))


def read(source: Source) -> list[Trace]:
    """As `load`, for what a registry of formats hands over."""
    rows = _parquet_rows(source.path) if is_parquet(source.path) else _json_rows(source)
    return [
        trace_of(row, source=source.path, place=f"row {number}") for number, row in enumerate(rows)
    ]


def read_rows(path: Path | str) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL or parquet file as JSON data.

    Raises:
        FormatError: it cannot be read.
        MissingExtra: parquet without pyarrow.
    """
    path = Path(path)
    if is_parquet(path):
        yield from _parquet_rows(path)
        return
    yield from _json_rows(Source(path))


def _json_rows(source: Source) -> Iterator[dict[str, Any]]:
    """The rows of JSONL text."""
    for line in source.text.split("\n"):
        if line.strip():
            row = parse_json(line, source=source.path)
            if not isinstance(row, dict):
                raise FormatError("a row is a JSON object", source=source.path, remedy=_REMEDY)
            yield row


def trace_of(row: Mapping[str, Any], *, source: Path | None = None, place: str = "") -> Trace:
    """A row as a trace: ours in full, a public one with what it has.

    Raises:
        FormatError: a field is missing or does not fit.
    """
    if isinstance(row.get("trace"), Mapping):
        trace = native_trace(dict(row["trace"]), source=source)
        facts = {key: row[key] for key in _KEPT if key in row}
        truth = GroundTruth(answer=row.get("ground_truth"))
        metadata = {**trace.metadata, "format": "tracertraj", **facts}
        metadata["question_ID"] = row.get("question_ID")
        return trace.model_copy(update={"metadata": metadata, "ground_truth": truth})
    reader = _Row(row, source, place)
    steps = reader.steps()
    return Trace(
        id=_identity(row),
        observed=Observed(
            task=reader.text("question"),
            agents=tuple(AgentInfo(name=name) for name in dict.fromkeys(s.agent for s in steps)),
            steps=steps,
            outcome=Outcome(success=False),
        ),
        ground_truth=GroundTruth(answer=_json(row.get("ground_truth"))),
        labels=reader.labels(len(steps)),
        metadata={"format": "tracertraj", "question_ID": _json(row.get("question_ID"))},
    )


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows, one JSON line each; the whole file or nothing."""
    lines = [json.dumps(row, ensure_ascii=False, sort_keys=False) for row in rows]
    write_atomically(path, "".join(f"{line}\n" for line in lines))
    return path


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path | None:
    """Write rows as parquet, nested fields as JSON text; None without pyarrow or rows."""
    try:
        pyarrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        return None
    if not rows:
        return None
    flat = [
        {k: json.dumps(v, ensure_ascii=False) if k in _NESTED else v for k, v in row.items()}
        for row in rows
    ]
    parquet.write_table(pyarrow.Table.from_pylist(flat), path, compression="zstd")
    return path


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lib: Any = importlib.import_module("pyarrow.lib")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        raise MissingExtra("train", needed_for=f"reading {path.name}") from error
    try:
        rows = parquet.read_table(path).to_pylist()
    except (lib.ArrowException, OSError) as error:
        remedy = "copy or download it again, whole"
        raise FormatError(
            f"not readable as parquet: {error}", source=path, remedy=remedy
        ) from error
    for row in rows:
        yield {
            key: parse_json(value, source=path)
            if key in _NESTED and isinstance(value, str)
            else value
            for key, value in row.items()
        }


class _Row:
    """One public row, and how to complain about it."""

    def __init__(self, row: Mapping[str, Any], source: Path | None, place: str) -> None:
        self._row, self._source, self._place = row, source, place

    def wrong(self, field: str, problem: str) -> FormatError:
        place = f"{self._place}.{field}" if self._place else field
        return FormatError(problem, source=self._source, place=place, remedy=_REMEDY)

    def text(self, field: str) -> str:
        value = self._row.get(field)
        if not isinstance(value, str):
            raise self.wrong(field, f"expected text, found {type(value).__name__}")
        return value

    def steps(self) -> tuple[Step, ...]:
        history = self._row.get("history")
        if isinstance(history, str):
            history = parse_json(history, source=self._source)
        if not isinstance(history, Sequence) or not history:
            raise self.wrong("history", "expected a list of messages")
        return tuple(self._step(index, entry) for index, entry in enumerate(history))

    def _step(self, index: int, entry: Any) -> Step:
        if not isinstance(entry, Mapping):
            raise self.wrong(f"history[{index}]", "expected an object")
        agent = entry.get("name") or entry.get("role")
        if not isinstance(agent, str) or not agent.strip():
            raise self.wrong(f"history[{index}]", "neither name nor role says who spoke")
        content = entry.get("content")
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        return Step(index=index, agent=agent.strip(), content=text)

    def labels(self, length: int) -> tuple[Label, ...]:
        agent, step = self._row.get("mistake_agent"), self._row.get("mistake_step")
        if agent is None and step is None:
            return ()
        text = str(step).strip().removesuffix(".0")
        if not text.isdigit() or not isinstance(agent, str) or not agent.strip():
            raise self.wrong("mistake_step", f"expected agent and step, found {agent!r}, {step!r}")
        if int(text) >= length:
            raise self.wrong("mistake_step", f"step {text} of a history of {length}, from 0")
        reason = self._row.get("mistake_reason")
        reason_text = reason if isinstance(reason, str) else None
        return (Label(agent=agent.strip(), step=int(text), reason=reason_text, source="replay"),)


def _json(value: Any) -> Any:
    return (
        value
        if isinstance(value, (str, int, float, bool, list, dict)) or value is None
        else str(value)
    )


def _identity(row: Mapping[str, Any]) -> str:
    seen = json.dumps([row.get("question"), row.get("history")], sort_keys=True, default=str)
    return f"tracertraj-{hashlib.blake2b(seen.encode(), digest_size=10).hexdigest()}"
