"""Write the finished items of a collection as TracerTraj: JSONL, and parquet with pyarrow.

train.jsonl, test.jsonl     labelled failures, in the order of the plan
undecided.jsonl             failures of which no single step is decisive: rows without labels
README.md                   the data set card
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from agentracer.formats.tracertraj import write_jsonl, write_parquet
from agentracer.lab.collect.card import card
from agentracer.lab.collect.collection import Collection
from agentracer.store import write_atomically

__all__ = ["write"]


def write(
    folder: Path, results: Iterable[Mapping[str, Any]], facts: Mapping[str, Any]
) -> Collection:
    """Write the data set of finished items.

    Args:
        folder: where to.
        results: what workers returned.
        facts: how it was collected, for the card.
    """
    ordered = sorted(results, key=lambda result: result["index"])
    collected = Collection(folder)
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


def _audit(result: Mapping[str, Any], collected: Collection) -> None:
    """Compare a label with the truth that the scripted model's own log gives."""
    if result["outcome"] not in ("failure", "undecided"):
        return
    collected.audited += 1
    labelled_step = int(result["rows"][0]["mistake_step"]) if result.get("rows") else None
    collected.agreeing += labelled_step == result["truth"]


def _identity(row: Mapping[str, Any]) -> str:
    """Two rows are the same if their task, history and label are."""
    content = [row["question"], row["history"], row["mistake_agent"], row["mistake_step"]]
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
