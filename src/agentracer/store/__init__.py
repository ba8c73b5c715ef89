"""Traces and verdicts on disk.

    .agentracer/  (or $AGENTRACER_HOME)
      traces/<id>.jsonl     the journal of one run, appended to while it runs
      verdicts/<id>.json    the latest verdict on it
      salt                  keys the hashes of redacted secrets; never leaves this directory
      redaction.toml        the user's own patterns and field names, see `agentracer.redaction`

One file has one writer, so any number of processes may share a store.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import logging
import math
import os
import secrets
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from agentracer.encoding import to_json
from agentracer.errors import FormatError, StoreError, TraceNotFound
from agentracer.event_writer import write_pending
from agentracer.redaction import Redactor, load_settings
from agentracer.store.disk_errors import report_disk_error, withdraw_disk_error
from agentracer.store.files import create_once, write_atomically
from agentracer.store.fold import fold_lines, unfold
from agentracer.store.journal import Journal
from agentracer.store.summary import Summary, summarize
from agentracer.trace import Trace
from agentracer.verdict import Verdict

__all__ = ["Journal", "Store", "Summary", "default_home", "new_trace_id", "write_atomically"]

logger: Final = logging.getLogger("agentracer")


def default_home() -> Path:
    """`$AGENTRACER_HOME`, or `.agentracer` in the working directory."""
    return Path(os.environ.get("AGENTRACER_HOME") or ".agentracer")


def new_trace_id() -> str:
    """A fresh id that sorts by time, in microseconds: `20261123T081500123456-1a2b3c4d`."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"


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
            return Journal(
                self.journal_path(trace_id),
                on_failure=partial(report_disk_error, self.home, trace_id),
                on_recovery=partial(withdraw_disk_error, self.home, trace_id),
            )
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
                create_once(path, secrets.token_bytes(16))
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
            write_atomically(self.journal_path(trace_id), "\n".join(lines) + "\n")
        except OSError as error:
            raise StoreError(f"{self.home}: {error.strerror or error}") from error
        return trace_id

    def load(self, trace_id: str) -> Trace:
        """The trace with this id, or with the one id that starts so.

        Raises:
            TraceNotFound: there is none, or more than one.
            FormatError: its journal is damaged beyond use.
        """
        write_pending()
        path = self.journal_path(trace_id)
        if not path.exists():
            path = self.journal_path(self.resolve(trace_id))
        try:
            with path.open("rb") as file:
                return fold_lines(file, source=path)
        except OSError as error:
            problem, remedy = error.strerror or str(error), "check the file's permissions"
            raise FormatError(problem, source=path, remedy=remedy) from error

    def resolve(self, prefix: str) -> str:
        """The full id that a part of it stands for: its beginning or its end.

        `latest` is the newest that is not a replay.

        Raises:
            TraceNotFound: there is none, or more than one.
        """
        ids = self.ids()
        if prefix == "latest" and ids:
            runs = (summary.id for summary in self.summaries() if summary.replay_of is None)
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
        write_pending()
        return sorted((path.stem for path in (self.home / "traces").glob("*.jsonl")), reverse=True)

    def summaries(self, problems: list[str] | None = None) -> Iterator[Summary]:
        """What `agentracer list` shows, newest first; files that cannot be read are skipped.

        Args:
            problems: gets a line for each file that was skipped: its path and what is wrong.
        """
        for trace_id in self.ids():
            path = self.journal_path(trace_id)
            try:
                yield summarize(path)
            except FormatError as error:
                if problems is not None:
                    problems.append(str(error))

    def save_verdict(self, verdict: Verdict) -> Path:
        """Keep a verdict beside its trace, replacing an earlier one.

        Raises:
            StoreError: the directory cannot be written.
        """
        path = self.home / "verdicts" / f"{_safe_name(verdict.trace_id)}.json"
        try:
            self._prepare()
            write_atomically(path, verdict.model_dump_json(indent=2))
        except OSError as error:
            raise StoreError(
                f"{path}: the verdict cannot be saved ({error.strerror or error})\n"
                "  remedy: free space, or set AGENTRACER_HOME to a writable directory"
            ) from error
        return path

    def load_verdict(self, trace_id: str) -> Verdict | None:
        """The latest verdict on a trace, if there is one.

        Raises:
            FormatError: the file of the verdict cannot be read.
        """
        path = self.home / "verdicts" / f"{_safe_name(trace_id)}.json"
        try:
            return Verdict.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            problem, remedy = error.strerror or str(error), "check the file's permissions"
            raise FormatError(problem, source=path, remedy=remedy) from error
        except ValidationError as error:
            raise FormatError(
                f"not a verdict ({error.error_count()} problems)",
                source=path,
                remedy="delete the file and attribute the trace again",
            ) from error

    def delete(self, trace_id: str) -> int:
        """Delete a trace and the verdict on it.

        Returns:
            The bytes that the files had.

        Raises:
            TraceNotFound: there is no such trace.
            StoreError: a file cannot be deleted.
        """
        journal = self.journal_path(trace_id)
        verdict = self.home / "verdicts" / f"{_safe_name(trace_id)}.json"
        freed = 0
        try:
            for path in (verdict, journal):
                if path.exists():
                    freed += path.stat().st_size
                    path.unlink(missing_ok=True)
                elif path is journal:
                    raise TraceNotFound(f"{self.home}: there is no trace {trace_id!r}")
        except OSError as error:
            raise StoreError(f"{error.filename}: cannot be deleted ({error.strerror})") from error
        return freed

    def size(self) -> int:
        """The bytes of all traces and verdicts."""
        return sum(path.stat().st_size for path in self.home.glob("*/*") if path.is_file())

    def age(self, trace_id: str) -> float:
        """Seconds since a trace was last written to; infinite where it is gone."""
        try:
            return time.time() - self.journal_path(trace_id).stat().st_mtime
        except OSError:
            return math.inf

    def journal_path(self, trace_id: str) -> Path:
        """The file of a trace.

        Raises:
            TraceNotFound: the id cannot be the name of a file.
        """
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
