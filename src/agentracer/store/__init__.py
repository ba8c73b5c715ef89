"""Traces and verdicts on disk.

    .agentracer/  (or $AGENTRACER_HOME)
      traces/<id>.jsonl     the journal of one run, appended to while it runs
      verdicts/<id>.json    the latest verdict on it
      salt                  keys the hashes of redacted secrets; never leaves this directory
      redaction.toml        the user's own patterns and field names, see `agentracer.redaction`

One file has one writer, so any number of processes may share a store.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import logging
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from agentracer.encoding import to_json
from agentracer.errors import FormatError, StoreError, TraceNotFound
from agentracer.redaction import Redactor, load_settings
from agentracer.store.fold import fold, read_events, unfold
from agentracer.store.journal import Journal
from agentracer.trace import Ending, Trace
from agentracer.verdict import Verdict

__all__ = ["Journal", "Store", "Summary", "default_home", "new_trace_id", "write_atomically"]

logger: Final = logging.getLogger("agentracer")

_TAIL = 64 * 1024


def default_home() -> Path:
    """`$AGENTRACER_HOME`, or `.agentracer` in the working directory."""
    return Path(os.environ.get("AGENTRACER_HOME") or ".agentracer")


def new_trace_id() -> str:
    """A fresh id that sorts by time, in microseconds: `20261123T081500123456-1a2b3c4d`."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"


def write_atomically(path: Path, text: str) -> None:
    """Write a whole file or nothing: to a temporary file beside it, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _create_once(path: Path, content: bytes) -> None:
    """Create a whole file; of several processes that do so at once, one wins."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of `agentracer list`, read from the ends of a journal only.

    `steps` is a lower bound where the end of the journal names no step. `replay_of` is the trace
    that this one replays, if it is a replay.
    """

    id: str
    started_at: float | None
    framework: str | None
    task: str
    steps: int
    success: bool | None
    ending: Ending
    replay_of: str | None = None


class Store:
    """A directory of traces.

    Args:
        home: the directory; `default_home()` if None. It is created on the first write.
    """

    def __init__(self, home: Path | str | None = None) -> None:
        self.home = (Path(home) if home is not None else default_home()).absolute()

    def journal(self, trace_id: str) -> Journal:
        """A new journal for a run.

        Raises:
            StoreError: the directory cannot be written.
        """
        try:
            self._prepare()
            return Journal(self._journal_path(trace_id))
        except OSError as error:
            raise StoreError(
                f"{self.home}: cannot write traces here ({error.strerror or error})\n"
                "  remedy: set AGENTRACER_HOME to a writable directory"
            ) from error

    def salt(self) -> bytes:
        """The key for this store's redaction hashes; made on first use.

        Raises:
            StoreError: it can be neither read nor made.
        """
        path = self.home / "salt"
        try:
            if not path.exists():
                self._prepare()
                _create_once(path, secrets.token_bytes(16))
            return path.read_bytes()
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror or error}") from error

    def redactor(self) -> Redactor:
        """What takes secrets out of everything that is written to this store.

        Where `redaction.toml` cannot be used, all text is withheld until it is corrected, and a
        warning says what is wrong.

        Raises:
            StoreError: the salt can be neither read nor made.
        """
        salt = self.salt()
        try:
            return Redactor(salt, settings=load_settings(self.home / "redaction.toml"))
        except FormatError as error:
            logger.warning("agentracer: all text of this run is withheld: %s", error)
            return Redactor(salt, withhold=True)

    def add(self, trace: Trace) -> str:
        """Keep a trace that was made elsewhere, under an id of this store, and return that id.

        The id that it had is kept as `metadata["imported_id"]`; adding it again replaces it.

        Raises:
            StoreError: the directory cannot be written.
        """
        started = datetime.datetime.fromtimestamp(trace.started_at or 0, datetime.UTC)
        digest = hashlib.blake2b(trace.id.encode(), digest_size=4).hexdigest()
        trace_id = f"{started:%Y%m%dT%H%M%S%f}-{digest}"
        metadata = {**trace.metadata, "imported_id": trace.id}
        kept = trace.model_copy(update={"id": trace_id, "metadata": metadata})
        redactor = self.redactor()
        lines = (
            json.dumps(to_json(event, text=redactor.text, field=redactor.field), allow_nan=False)
            for event in unfold(kept)
        )
        try:
            write_atomically(self._journal_path(trace_id), "\n".join(lines) + "\n")
        except OSError as error:
            raise StoreError(f"{self.home}: {error.strerror or error}") from error
        return trace_id

    def load(self, trace_id: str) -> Trace:
        """The trace with this id, or with the one id that starts so.

        Raises:
            TraceNotFound: there is none, or more than one.
            FormatError: its journal is damaged beyond use.
        """
        path = self._journal_path(trace_id)
        if not path.exists():
            path = self._journal_path(self.resolve(trace_id))
        events, torn = read_events(path)
        return fold(events, torn=torn, source=path)

    def resolve(self, prefix: str) -> str:
        """The full id that a part of it stands for: its beginning or its end.

        `latest` is the newest that is not a replay.

        Raises:
            TraceNotFound: there is none, or more than one.
        """
        ids = self.ids()
        if prefix == "latest" and ids:
            runs = (found.id for found in self.summaries() if found.replay_of is None)
            return next(runs, ids[0])
        matches = [i for i in ids if prefix and (i.startswith(prefix) or i.endswith(prefix))]
        if prefix in ids or len(matches) == 1:
            return prefix if prefix in ids else matches[0]
        count = (
            f"{len(matches)} trace ids begin or end" if matches else "no trace id begins or ends"
        )
        raise TraceNotFound(
            f"{self.home}: {count} with {prefix!r}\n  remedy: `agentracer list` shows the ids"
        )

    def ids(self) -> list[str]:
        """All trace ids, newest first."""
        return sorted((path.stem for path in (self.home / "traces").glob("*.jsonl")), reverse=True)

    def summaries(self) -> Iterator[Summary]:
        """What `agentracer list` shows, newest first; unreadable journals are skipped."""
        for trace_id in self.ids():
            summary = _summarise(self._journal_path(trace_id))
            if summary is not None:
                yield summary

    def save_verdict(self, verdict: Verdict) -> Path:
        """Keep a verdict beside its trace, replacing an earlier one."""
        path = self.home / "verdicts" / f"{_safe_name(verdict.trace_id)}.json"
        self._prepare()
        write_atomically(path, verdict.model_dump_json(indent=2))
        return path

    def load_verdict(self, trace_id: str) -> Verdict | None:
        """The latest verdict on a trace, if there is one."""
        path = self.home / "verdicts" / f"{_safe_name(trace_id)}.json"
        try:
            return Verdict.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise FormatError(
                f"not a verdict ({error.error_count()} problems)",
                source=path,
                remedy="delete the file and attribute the trace again",
            ) from error

    def _journal_path(self, trace_id: str) -> Path:
        return self.home / "traces" / f"{_safe_name(trace_id)}.jsonl"

    def _prepare(self) -> None:
        if not self.home.is_dir():
            self.home.mkdir(parents=True, exist_ok=True)
        ignore = self.home / ".gitignore"
        if not ignore.exists():  # traces hold what users said: not something to commit by accident
            ignore.write_text("*\n", encoding="utf-8")


def _safe_name(trace_id: str) -> str:
    """`trace_id` if it can be a file name, so that no id reaches outside the store."""
    if not trace_id or not all(c.isalnum() or c in "-_." for c in trace_id) or trace_id[0] == ".":
        raise TraceNotFound(f"{trace_id!r} is not a trace id")
    return trace_id


def _summarise(path: Path) -> Summary | None:
    try:
        with path.open("rb") as file:
            first = _event(file.readline())
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL))
            tail = [_event(line) for line in file.readlines()]
    except OSError:
        return None
    if first.get("e") != "run" or not isinstance(first.get("id"), str):
        return None
    outcome = next((e.get("outcome") or {} for e in reversed(tail) if e.get("e") == "outcome"), {})
    steps = max((int(e.get("index", -1)) for e in tail if e.get("e") == "step"), default=-1) + 1
    later = {k: v for e in tail if e.get("e") == "update" for k, v in e.items()}
    return Summary(
        id=first["id"],
        started_at=first.get("started_at"),
        framework=later.get("framework", first.get("framework")),
        task=str(later.get("task", first.get("task")) or ""),
        steps=steps,
        success=outcome.get("success"),
        ending=outcome.get("ending", "unfinished"),
        replay_of=first.get("parent") if "replay" in (first.get("metadata") or {}) else None,
    )


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}
