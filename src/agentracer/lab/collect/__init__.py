"""Make labelled failures of multi-agent systems (TracerTraj), reproducibly and at any scale.

plan.py        which runs, by seed
worker.py      makes one: runs the system, labels the run
labelling.py   counterfactual replay (natural failures), injection (runs that succeed)
journal.py     finished items, so that a killed collection can resume
engines.py     processes of this machine, or Ray
dataset.py     rows to files; card.py the data set card; collection.py its counts
audit.py       replays finished labels again
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agentracer._version import __version__
from agentracer.lab.collect.audit import Audit, audit
from agentracer.lab.collect.collection import Collection
from agentracer.lab.collect.dataset import write
from agentracer.lab.collect.engines import ENGINES
from agentracer.lab.collect.journal import CollectionMismatch, ItemJournal
from agentracer.lab.collect.plan import items
from agentracer.lab.collect.worker import Settings
from agentracer.lab.testbed.rosters import TOPOLOGIES
from agentracer.lab.testbed.systems import DOMAINS, FRAMEWORKS, OTHER_DOMAINS

__all__ = ["Audit", "Collection", "CollectionMismatch", "audit", "collect"]

JOURNAL = Path(".collect") / "journal.jsonl"
"""The file of finished items, hidden from readers that load every file of the folder."""

Progress = Callable[[int, int, dict[str, Any]], None]


def collect(
    domain: str | Sequence[str] = DOMAINS,
    framework: str | Sequence[str] = FRAMEWORKS,
    topology: str | Sequence[str] = TOPOLOGIES,
    *,
    n: int,
    out: Path | str,
    seed: int = 0,
    engine: str = "local",
    workers: int | None = None,
    data: Path | str | None = None,
    injections: int = 1,
    progress: Progress | None = None,
) -> Collection:
    """Make `n` runs, label those that fail, and write the data set.

    A collection that was killed goes on where it stopped when it is started again with the same
    settings; with a larger `n` it grows. What comes out depends on the settings only, not on the
    engine, the number of workers, or interruptions.

    Args:
        domain: one or more of `math`, `qa`, `coding`; `sums` are one-digit sums, for training
            pipelines.
        framework: one or more of `langgraph`, `autogen`, `camel`.
        topology: one or more of `pipeline`, `hub`, `review`.
        n: how many runs; about seven in ten end as a labelled natural failure.
        out: the folder of the data set.
        seed: decides everything else.
        engine: `local` (processes) or `ray`.
        workers: processes; one for each core if None, and none (this process) if 0.
        data: the folder with `gsm8k/` and `mbppplus/`; our own problems only if None.
        injections: failures to make from each run that succeeds.
        progress: called with how many items are done, how many there are, and the last one.

    Raises:
        ValueError: an unknown domain, framework, topology or engine.
        CollectionMismatch: `out` holds another collection, or is in use.
        MissingExtra: the engine or a framework is not installed.
    """
    domains = _selected("domain", domain, (*DOMAINS, *OTHER_DOMAINS))
    frameworks = _selected("framework", framework, FRAMEWORKS)
    chosen = _selected("topology", topology, TOPOLOGIES)
    topologies = tuple(name for name in TOPOLOGIES if name in chosen)
    _selected("engine", engine, tuple(ENGINES))
    folder, source = Path(out), Path(data) if data is not None else None
    settings = Settings(source.resolve() if source else None, injections)
    facts = {
        "agentracer": __version__,
        "domains": list(domains),
        "frameworks": list(frameworks),
        "seed": seed,
        "data": _contents(source),
        "injections": injections,
    }
    if topologies != TOPOLOGIES:
        facts["topologies"] = list(topologies)
    plan = list(items(domains, frameworks, n, seed, topologies))
    count = (os.cpu_count() or 1) if workers is None else workers
    with ItemJournal(folder / JOURNAL, facts) as journal:
        todo = [item for item in plan if item.index not in journal.finished]
        for result in ENGINES[engine](todo, settings, min(count, max(1, len(todo)))):
            journal.add(result)
            if progress is not None:
                progress(len(journal.finished), n, result)
        results = [journal.finished[item.index] for item in plan]
    return write(folder, results, facts)


def _selected(what: str, given: str | Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given)
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        named = repr(wrong[0]) if wrong else "(none)"
        raise ValueError(f"unknown {what} {named}\n  remedy: one of {', '.join(known)}")
    return names


def _contents(source: Path | None) -> list[str]:
    """Which data there is: the plan depends on it."""
    if source is None:
        return []
    names = ("gsm8k/train_2000.jsonl", "gsm8k/test.jsonl", "mbppplus/MbppPlus.jsonl")
    return [
        f"{name}:{(source / name).stat().st_size}" for name in names if (source / name).exists()
    ]
