"""The finished items of a collection as TracerTraj: JSONL, and parquet where there is pyarrow.

    train.jsonl, test.jsonl     labelled failures, in the order of the plan
    undecided.jsonl             failures of which no single step is decisive: rows without labels
    README.md                   the data set card

It knows rows; what makes them and what the card says of them is elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentracer.formats.tracertraj import write_jsonl, write_parquet
from agentracer.lab.collect.card import card
from agentracer.store import write_atomically

__all__ = ["Collected", "write"]


@dataclass(slots=True)
class Collected:
    """What a collection came to.

    Attributes:
        folder: where it is.
        rows: labelled failures by split.
        outcomes: finished items by outcome: failure, success, undecided, broken.
        duplicates: rows that were left out because an equal one came before.
        audited: labels of runs whose truth is known by construction.
        agreeing: those that name the true step.
        files: what was written.
    """

    folder: Path
    rows: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    audited: int = 0
    agreeing: int = 0
    files: list[Path] = field(default_factory=list)

    @property
    def labelled(self) -> int:
        """All labelled failures."""
        return sum(self.rows.values())


def write(
    folder: Path, results: Iterable[Mapping[str, Any]], facts: Mapping[str, Any]
) -> Collected:
    """Write the data set of finished items.

    Args:
        folder: where to.
        results: what workers returned.
        facts: how it was collected, for the card.
    """
    ordered = sorted(results, key=lambda result: result["index"])
    collected = Collected(folder)
    splits: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
    undecided: list[dict[str, Any]] = []
    seen: set[str] = set()
    for result in ordered:
        outcome = result["outcome"]
        collected.outcomes[outcome] = collected.outcomes.get(outcome, 0) + 1
        _audit(result, collected)
        undecided += result.get("unlabelled", ())
        for row in result.get("rows", ()):
            identity = _identity(row)
            if identity in seen:
                collected.duplicates += 1
                continue
            seen.add(identity)
            splits[row["split"]].append(row)
    for split, rows in splits.items():
        collected.rows[split] = len(rows)
        collected.files.append(write_jsonl(folder / f"{split}.jsonl", rows))
        parquet = write_parquet(folder / f"{split}.parquet", rows)
        if parquet is not None:
            collected.files.append(parquet)
    collected.files.append(write_jsonl(folder / "undecided.jsonl", undecided))
    text = card([*splits["train"], *splits["test"]], ordered, collected, facts)
    write_atomically(folder / "README.md", text)
    collected.files.append(folder / "README.md")
    return collected


def _audit(result: Mapping[str, Any], collected: Collected) -> None:
    """Compare a label with the truth that the scripted model's own log gives."""
    if result["outcome"] not in ("failure", "undecided"):
        return
    collected.audited += 1
    found = int(result["rows"][0]["mistake_step"]) if result.get("rows") else None
    collected.agreeing += found == result["truth"]


def _identity(row: Mapping[str, Any]) -> str:
    """Two rows are the same if their task, history and label are."""
    told = [row["question"], row["history"], row["mistake_agent"], row["mistake_step"]]
    return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=16).hexdigest()
