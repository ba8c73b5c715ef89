"""Collect runs of the natural systems on a real model: failures and successes, without labels yet.

The plan (system, task, seed, order) depends on the settings alone. Finished runs are in a journal,
so that a collection that was killed goes on where it stopped, and grows with a larger `n`; the rows
are written from the journal, and are the same whenever they are written again.

Rows have no label: `mistake_agent` and `mistake_step` are null. `find_decisive` with
`agentracer.lab.natural.systems.replay_system` is what labels a failed row.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from agentracer._version import __version__
from agentracer.errors import BackendError
from agentracer.lab.collect.journal import ItemJournal
from agentracer.lab.collect.worker import without_clocks
from agentracer.lab.natural.endpoint import Endpoint
from agentracer.lab.natural.systems import SYSTEMS, NaturalSystem, run_once
from agentracer.lab.natural.tasks import NaturalTask, load_tasks
from agentracer.lab.natural.text_tools import text_tools
from agentracer.store import Store
from agentracer.trace import Trace

__all__ = [
    "PlannedRun",
    "ToolProtocol",
    "collect_natural",
    "plan_runs",
    "server_version",
    "with_tools",
]

ToolProtocol = Literal["server", "text"]

JOURNAL = Path(".collect") / "natural.jsonl"
ROWS = "natural.jsonl"
_UNKNOWN = "unknown"
_OUTCOMES = {True: "success", False: "failure", None: "undecided"}


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run of the plan; `seed` is what the model server gets."""

    index: int
    system: NaturalSystem
    task: NaturalTask
    seed: int


def plan_runs(systems: Sequence[str], tasks: Sequence[str], seed: int) -> Iterator[PlannedRun]:
    """Yield runs without end: each pair of a system and a task once, in random order, then again.

    Args:
        systems: names from `SYSTEMS`; all if empty.
        tasks: ids or kinds of tasks; all if empty.
        seed: decides the order, and the seeds of the runs.

    Raises:
        ValueError: an unknown name, or no system is meant for any of the tasks.
    """
    chosen = [_lookup(SYSTEMS, name, "system") for name in systems] or list(SYSTEMS.values())
    all_tasks = load_tasks()
    selected = {t.id for t in all_tasks.values() if not tasks or t.id in tasks or t.kind in tasks}
    for name in tasks:
        if name not in {t.kind for t in all_tasks.values()}:
            _lookup(all_tasks, name, "task")
    pairs = [
        (s, t) for s in chosen for t in all_tasks.values() if t.id in selected and t.kind in s.kinds
    ]
    if not pairs:
        raise ValueError(
            "none of these systems is meant for any of these tasks\n"
            "  remedy: see the kinds of agentracer.lab.natural.systems.SYSTEMS"
        )
    return _endless(pairs, random.Random(seed))  # noqa: S311  (a plan, no secret)


def collect_natural(
    endpoint: Endpoint,
    *,
    n: int,
    out: Path | str,
    systems: Sequence[str] = (),
    tasks: Sequence[str] = (),
    seed: int = 0,
    tools: ToolProtocol = "server",
    progress: Callable[[int, int], None] | None = None,
) -> Counter[str]:
    """Make the first `n` runs of the plan, and write them to `natural.jsonl` in `out`.

    Args:
        endpoint: the model; the seed of each run comes from the plan.
        n: how many runs in all, those of earlier calls included.
        out: the folder.
        systems: names from `SYSTEMS`; all if empty.
        tasks: ids or kinds of tasks; all if empty.
        seed: decides the plan.
        tools: how the model calls tools: by the server's own support, or as `text` (see
            `agentracer.lab.natural.text_tools`).
        progress: called with how many runs are done, and how many there are.

    Returns:
        How many runs ended as `success`, `failure` and `undecided`.

    Raises:
        ValueError: an unknown system or task.
        CollectionMismatch: `out` holds another collection, or is in use.
        BackendError: the server does not answer.
        MissingExtra: a framework is not installed.
    """
    plan = list(itertools.islice(plan_runs(systems, tasks, seed), n))
    folder, version = Path(out), server_version(endpoint)
    facts = {
        "agentracer": __version__,
        "model": endpoint.model,
        "temperature": endpoint.temperature,
        "max_tokens": endpoint.max_tokens,
        "systems": sorted(systems),
        "tasks": sorted(tasks),
        "seed": seed,
        "tools": tools,
    }
    with ItemJournal(folder / JOURNAL, facts) as journal, with_tools(endpoint, tools) as used:
        for run in plan:
            if run.index not in journal.finished:
                journal.add({"index": run.index, "row": _row(run, used, version)})
            if progress is not None:
                progress(len(journal.finished), n)
        rows = [journal.finished[run.index]["row"] for run in plan]
    text = "".join(json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n" for row in rows)
    (folder / ROWS).write_text(text, encoding="utf-8")
    return Counter(str(row["outcome"]) for row in rows)


def with_tools(
    endpoint: Endpoint, tools: ToolProtocol
) -> contextlib.AbstractContextManager[Endpoint]:
    """Return a block that gives the endpoint for teams: a proxy's where tool calls are text."""
    return text_tools(endpoint) if tools == "text" else contextlib.nullcontext(endpoint)


def server_version(endpoint: Endpoint) -> str:
    """Ask the server for its version: llama.cpp at `/props`, vLLM at `/version`.

    Returns:
        The version, or `unknown` where the server answers but has none to give.

    Raises:
        BackendError: the server does not answer.
    """
    root = endpoint.base_url.rstrip("/").removesuffix("/v1")
    for path, key, name in (
        ("/props", "build_info", "llama.cpp"),
        ("/version", "version", "vllm"),
    ):
        answer = _get_json(root + path)
        if isinstance(answer, dict) and answer.get(key):
            return f"{name} {answer[key]}"
    return _UNKNOWN


def _get_json(url: str) -> Any:
    """What a server says, or None if it refuses the request or says no JSON."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url}: not an HTTP address\n  remedy: a base URL such as http://HOST/v1")
    try:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  (checked above)
            return json.load(response)
    except (urllib.error.HTTPError, ValueError):
        return None
    except OSError as error:
        raise BackendError(
            f"{url}: the model server does not answer: {error}\n"
            "  remedy: start it, or correct the base URL"
        ) from error


def _endless(
    pairs: Sequence[tuple[NaturalSystem, NaturalTask]], source: random.Random
) -> Iterator[PlannedRun]:
    numbers = itertools.count()
    while True:
        for system, task in source.sample(pairs, len(pairs)):
            yield PlannedRun(next(numbers), system, task, source.randrange(2**31))


def _row(run: PlannedRun, endpoint: Endpoint, version: str) -> dict[str, Any]:
    """Run it, and return its line of the data set."""
    with tempfile.TemporaryDirectory(prefix="agentracer-natural-") as folder:
        seeded = replace(endpoint, seed=run.seed)
        trace = run_once(run.system, run.task, seeded, Store(Path(folder)))
    return {
        "question_ID": f"natural/{run.task.id}",
        "question": run.task.text,
        "history": _history(trace),
        "mistake_agent": None,
        "mistake_step": None,
        "mistake_reason": None,
        "domain": run.task.kind,
        "framework": run.system.framework,
        "system": run.system.name,
        "origin": "natural",
        "outcome": _OUTCOMES[trace.outcome.success],
        "model": endpoint.model,
        "seed": run.seed,
        "server": version,
        "trace": json.loads(without_clocks(trace, None).to_json()),
    }


def _history(trace: Trace) -> list[dict[str, str]]:
    return [
        {"role": "assistant", "name": step.agent, "content": trace.observed.text(step)}
        for step in trace.steps
    ]


def _lookup(known: dict[str, Any], name: str, what: str) -> Any:
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}\n  remedy: one of {', '.join(known)}")
    return known[name]
