"""What was learned, on disk: one SQLite file, `lessons.db`, beside the traces.

    lessons    one row a lesson: for which agent, what it says, why, and its state
    uses       a run that had the lesson: one row for each, so that nothing is counted twice
    outcomes   what a trial of the lesson showed, one row for each round of an iteration

SQLite's own journal makes every change whole or not at all, also where the process is killed.
Lessons may be read and edited with any SQLite program; what the loop writes again it finds by id.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from agentracer.errors import StoreError
from agentracer.store import Store

__all__ = ["STATES", "Lesson", "LessonStore", "State"]

State = Literal["proposed", "kept", "retracted", "dropped"]
STATES: Final[tuple[State, ...]] = ("proposed", "kept", "retracted", "dropped")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS lessons (
    id TEXT PRIMARY KEY, agent TEXT NOT NULL, task TEXT NOT NULL, text TEXT NOT NULL,
    state TEXT NOT NULL, trace TEXT NOT NULL, verdict TEXT, verification TEXT,
    note TEXT NOT NULL DEFAULT '', created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS uses (
    lesson TEXT NOT NULL REFERENCES lessons(id) ON DELETE CASCADE, trace TEXT NOT NULL,
    success INTEGER, PRIMARY KEY (lesson, trace)
);
CREATE TABLE IF NOT EXISTS outcomes (
    lesson TEXT NOT NULL REFERENCES lessons(id) ON DELETE CASCADE, session TEXT NOT NULL,
    round INTEGER NOT NULL, wins INTEGER NOT NULL, losses INTEGER NOT NULL,
    PRIMARY KEY (lesson, session, round)
);
"""
_SELECT = """
SELECT l.*, (SELECT COUNT(*) FROM uses u WHERE u.lesson = l.id) AS used,
    (SELECT COALESCE(SUM(wins), 0) FROM outcomes o WHERE o.lesson = l.id) AS wins,
    (SELECT COALESCE(SUM(losses), 0) FROM outcomes o WHERE o.lesson = l.id) AS losses
FROM lessons l
"""
_PATIENCE = 10.0  # seconds to wait for another process that writes


@dataclass(frozen=True, slots=True)
class Lesson:
    """One lesson.

    Attributes:
        id: made of agent and text.
        agent: who gets it.
        task: of the run that it was learned from.
        text: as the agent reads it.
        state: `kept` lessons are in use.
        trace: id of the run that it was learned from.
        verdict: the verdict on that run, as JSON data.
        verification: its proof by replay, as JSON data, or None.
        note: why it is in this state.
        created: seconds since the epoch.
        used: runs that had it.
        wins: tasks that went better with it than without, in its trials; `losses`: worse.
        losses: see `wins`.
    """

    id: str
    agent: str
    task: str
    text: str
    state: State
    trace: str
    verdict: dict[str, Any] | None = None
    verification: dict[str, Any] | None = None
    note: str = ""
    created: float = 0.0
    used: int = 0
    wins: int = 0
    losses: int = 0

    @property
    def usefulness(self) -> tuple[int, float]:
        """What to sort by: most useful, then newest, is greatest."""
        return self.wins - self.losses, self.created

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


class LessonStore:
    """The lessons of one store. Processes may share it.

    Args:
        path: the file; `lessons.db` in the default store if None. It is made on the first write.

    Raises:
        StoreError: the file is no SQLite database, or cannot be opened.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path) if path is not None else Store().home / "lessons.db"

    @classmethod
    def of(cls, store: Store) -> LessonStore:
        """The lessons beside the traces of a store."""
        return cls(store.home / "lessons.db")

    def add(self, lesson: Lesson) -> None:
        """Keep a lesson. One that is known by its id keeps its state and its text."""
        fields = {
            **{name: getattr(lesson, name) for name in ("id", "agent", "task", "text", "state")},
            "trace": lesson.trace,
            "verdict": _dumped(lesson.verdict),
            "verification": _dumped(lesson.verification),
            "note": lesson.note,
            "created": lesson.created or time.time(),
        }
        marks = ", ".join(f":{name}" for name in fields)
        with self._open(write=True) as database:
            database.execute(
                f"INSERT OR IGNORE INTO lessons ({', '.join(fields)}) VALUES ({marks})",  # noqa: S608
                fields,
            )

    def mark(self, lesson: str, state: State, note: str = "") -> None:
        """Put a lesson into another state."""
        with self._open(write=True) as database:
            rows = database.execute(
                "UPDATE lessons SET state = ?, note = ? WHERE id = ?", (state, note, lesson)
            )
            if not rows.rowcount:
                raise LookupError(f"there is no lesson {lesson!r} in {self.path}")

    def used(self, lessons: Sequence[str], trace: str, *, success: bool | None) -> None:
        """Note that a run had these lessons. Noting it twice counts once."""
        with self._open(write=True) as database:
            database.executemany(
                "INSERT OR IGNORE INTO uses SELECT ?, ?, ? WHERE EXISTS "
                "(SELECT 1 FROM lessons WHERE id = ?)",
                [(lesson, trace, success, lesson) for lesson in lessons],
            )

    def tried(
        self, lesson: str, *, session: str, round_number: int, wins: int, losses: int
    ) -> None:
        """Note what a trial showed. Noting the same round again replaces it."""
        with self._open(write=True) as database:
            database.execute(
                "INSERT OR REPLACE INTO outcomes SELECT ?, ?, ?, ?, ? WHERE EXISTS "
                "(SELECT 1 FROM lessons WHERE id = ?)",
                (lesson, session, round_number, wins, losses, lesson),
            )

    def drop(self, lesson: str) -> Lesson:
        """Take a lesson out for good; returns it.

        Raises:
            LookupError: there is none, or more than one, that this is the beginning of.
        """
        stored = self.get(lesson)
        with self._open(write=True) as database:
            database.execute("DELETE FROM lessons WHERE id = ?", (stored.id,))
        return stored

    def get(self, lesson: str) -> Lesson:
        """The lesson with this id, or with the one id that starts so.

        Raises:
            LookupError: there is none, or more than one.
        """
        matches = [entry for entry in self if lesson and entry.id.startswith(lesson)]
        exact = [entry for entry in matches if entry.id == lesson]
        if len(exact or matches) != 1:
            problem = f"{len(matches)} lessons begin with" if matches else "there is no lesson"
            raise LookupError(
                f"{self.path}: {problem} {lesson!r}\n"
                "  remedy: `agentracer lessons list` shows what there is"
            )
        return (exact or matches)[0]

    def __iter__(self) -> Iterator[Lesson]:
        """All lessons, most useful first."""
        if not self.path.exists():
            return
        with self._open() as database:
            rows = database.execute(_SELECT).fetchall()
        yield from sorted(map(_lesson, rows), key=lambda one: one.usefulness, reverse=True)

    @contextlib.contextmanager
    def _open(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction, so that no lock outlives it, nor crosses a fork."""
        try:
            if write and not self.path.parent.is_dir():
                self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self.path, timeout=_PATIENCE)) as database:
                database.row_factory = sqlite3.Row
                database.execute("PRAGMA foreign_keys = ON")
                with database:
                    database.executescript(_SCHEMA)
                    yield database
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"{self.path}: {error}\n  remedy: name a file of lessons, or move this one away"
            ) from error


def _dumped(value: dict[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _lesson(row: sqlite3.Row) -> Lesson:
    fields = dict(row)
    for name in ("verdict", "verification"):
        fields[name] = None if fields[name] is None else json.loads(fields[name])
    return Lesson(**fields)
