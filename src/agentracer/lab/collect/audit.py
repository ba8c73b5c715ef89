"""Replay the labels of a finished collection again, each with its control.

Every item is run anew, from its place in the plan. A natural label agrees if correcting its step
turns the new run into a success, and a rerun without the correction does not, three times each. An
injected label agrees if making the item again gives the same failure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentracer.lab.collect.plan import Item
from agentracer.lab.collect.worker import Settings, Worker

__all__ = ["Audit", "audit"]

_ITEM = ("index", "domain", "framework", "topology", "seed")


@dataclass(slots=True)
class Audit:
    """The result of an audit.

    Attributes:
        labels: how many labels were replayed.
        agreeing: how many of them came out again.
        disagreements: the labels that were not confirmed, one line each.
    """

    labels: int = 0
    agreeing: int = 0
    disagreements: list[str] = field(default_factory=list)


def audit(folder: Path | str, *, data: Path | str | None = None, every: int = 1) -> Audit:
    """Replay labels of a collection again.

    Args:
        folder: where `collect` wrote.
        data: the folder of other people's problems, as `collect` was given it.
        every: look at every n-th finished item only.
    """
    audit_result = Audit()
    results, injections = _finished(Path(folder) / ".collect" / "journal.jsonl")
    source = Path(data).resolve() if data is not None else None
    with Worker(Settings(source, injections)) as worker:
        for result in results[::every]:
            item = Item(**{key: result[key] for key in _ITEM})
            for step, status in _repeat(worker, item, result):
                audit_result.labels += 1
                audit_result.agreeing += status == "confirmed"
                if status != "confirmed":
                    audit_result.disagreements.append(f"item {item.index}, step {step}: {status}")
    return audit_result


def _repeat(worker: Worker, item: Item, result: dict[str, Any]) -> Iterator[tuple[int, str]]:
    rows = result.get("rows", [])
    natural = [row for row in rows if row["origin"] == "natural"]
    for row in natural:
        step = int(row["mistake_step"])
        yield step, worker.verify(item, step)
    if rows and not natural:
        remade = json.loads(json.dumps(worker.make(item).get("rows", [])))
        for position, row in enumerate(rows):
            same = position < len(remade) and remade[position] == row
            yield int(row["mistake_step"]), "confirmed" if same else "another failure"


def _finished(journal: Path) -> tuple[list[dict[str, Any]], int]:
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines() if line]
    results = sorted((line for line in lines if "index" in line), key=lambda line: line["index"])
    return results, int(lines[0]["collection"]["injections"])
