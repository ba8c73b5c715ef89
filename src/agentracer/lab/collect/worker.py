"""Make one item: run the system, and label the run if it failed.

A worker process keeps one model server, and one built team for each system, for all its items.
Traces are kept in a folder of their own that is emptied after each item. The result is plain
JSON data without clocks, random ids or paths, so that the same item always gives the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import agentracer
from agentracer.lab.collect.labelling import LabelledRun, UndecidedRun, injected, label_failure
from agentracer.lab.collect.plan import Item, resolve, split_of
from agentracer.lab.testbed.ground_truth import decisive_step, oracle
from agentracer.lab.testbed.problems import Domain
from agentracer.lab.testbed.scenarios import Scenario
from agentracer.lab.testbed.systems import BuiltTeam, TeamHost
from agentracer.replay import System, verify
from agentracer.store import Store
from agentracer.trace import Label, Observed, Trace
from agentracer.verdict import Provenance, Verdict

__all__ = ["Settings", "Worker", "start_in_process", "work_in_process"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What all items share.

    Attributes:
        data: the folder of external problems; None for those of the package only.
        injections: failures to make from each run that succeeds.
    """

    data: Path | None = None
    injections: int = 1


class Worker:
    """Makes items, one after the other. Use it in a `with` block."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open = contextlib.ExitStack()
        self._hosts: dict[tuple[str, str], TeamHost] = {}
        self._home = Path(tempfile.mkdtemp(prefix="agentracer-collect-"))
        self._open.callback(shutil.rmtree, self._home, ignore_errors=True)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def make(self, item: Item) -> dict[str, Any]:
        """Run and label one item; an item that raises is reported as `broken`; the others go on."""
        began = time.perf_counter()
        try:
            result = self._make(item)
        except Exception as error:
            logging.getLogger("agentracer").debug("item %d broke", item.index, exc_info=True)
            result = {"outcome": "broken", "why": f"{type(error).__name__}: {error}"[:500]}
        return {**item.to_json(), **result, "seconds": round(time.perf_counter() - began, 3)}

    def play(self, item: Item) -> Trace:
        """Run an item, and leave it without a label."""
        with self._running(item) as run:
            return run.record()

    def verify(self, item: Item, step: int) -> str:
        """Run an item again, replay a step of it with and without its correction: the status."""
        with self._running(item) as run:
            trace = run.record()
            if trace.outcome.success is not False or step >= len(trace.steps):
                return "not the same run"
            verdict = Verdict(
                trace_id=trace.id,
                agent=trace.steps[step].agent,
                step=step,
                provenance=Provenance(model="label", method="audit"),
            )
            system = System(run=run.solve, check=run.check, store=run.store)
            proof = verify(trace, verdict, system, oracle(run.policy), repeats=3).verification
            return proof.status if proof is not None else "not replayed"

    @contextlib.contextmanager
    def _running(self, item: Item) -> Iterator[_ItemRun]:
        """An item at work; its traces are gone afterwards."""
        domain, plan = resolve(item, self._settings.data)
        host = self._host(item, domain)
        try:
            yield _ItemRun(item, domain, plan, host, Store(self._home / "store"))
        finally:
            shutil.rmtree(self._home, ignore_errors=True)

    def _make(self, item: Item) -> dict[str, Any]:
        with self._running(item) as run:
            return _labelled(run, self._settings.injections)

    def _host(self, item: Item, domain: Domain) -> TeamHost:
        key = (item.domain, item.framework)
        if key not in self._hosts:
            agentracer.instrument(item.framework)
            self._hosts[key] = self._open.enter_context(TeamHost(domain, item.framework))
        return self._hosts[key]


def _labelled(run: _ItemRun, injections: int) -> dict[str, Any]:
    """Run an item; label it if it failed, make failures of it if it did not."""
    plan, trace = run.plan, run.record()
    facts = {"problem": plan.problem.id, "pattern": plan.pattern, "steps": len(trace.steps)}
    if trace.outcome.success is None:
        return {"outcome": "broken", "why": "the check did not decide", **facts}
    truth = decisive_step(trace, plan, run.policy.log)
    if trace.outcome.success:
        made = list(injected(trace, run.system(), run.item.seed, injections))
        rows = [run.row(labelled) for labelled in made]
        return {"outcome": "success", "rows": rows, **facts}
    label = label_failure(trace, run.system(), oracle(run.policy))
    facts |= {"truth": truth, "replays": label.verification["all_replays"]}
    if isinstance(label, UndecidedRun):
        row = run.row(label)
        return {"outcome": "undecided", "why": label.reason, "unlabelled": [row], **facts}
    return {"outcome": "failure", "rows": [run.row(label)], **facts}


class _ItemRun:
    """One item at work."""

    def __init__(
        self, item: Item, domain: Domain, plan: Scenario, host: TeamHost, store: Store
    ) -> None:
        self.item, self.domain, self.plan = item, domain, plan
        self.host, self.store = host, store
        self.policy = plan.policy(domain, item.seed)

    @property
    def team(self) -> BuiltTeam:
        return self.host.team(self.item.topology, self.item.seed % 3)

    def solve(self) -> str:
        return self.team.solve(self.plan.problem)

    def check(self, answer: str) -> bool:
        return self.domain.check(self.plan.problem, answer)

    def record(self) -> Trace:
        """The run itself."""
        self.host.set_policy(self.policy)
        problem = self.plan.problem
        with agentracer.record(
            task=problem.question, ground_truth=problem.answer, check=self.check, store=self.store
        ) as run:
            run.result = self.solve()
        return run.trace

    def system(self) -> System:
        """What is replayed."""
        return System(run=self.solve, check=self.check, store=self.store, deterministic=True)

    def row(self, labelled: LabelledRun | UndecidedRun) -> dict[str, Any]:
        """A line of the data set; without a label where no single step is decisive."""
        trace, problem = labelled.trace, self.plan.problem
        label = _label(labelled)
        natural = label is None or label.source == "replay"
        decisive = self.plan.decisive if natural else None
        stored = without_clocks(trace, label)
        return {
            "question_ID": f"{self.item.domain}/{problem.id}",
            "question": problem.question,
            "ground_truth": problem.answer,
            "history": [
                {"role": "assistant", "name": step.agent, "content": trace.observed.text(step)}
                for step in trace.steps
            ],
            "mistake_agent": label.agent if label else None,
            "mistake_step": str(label.step) if label else None,
            "mistake_reason": label.reason if label else None,
            "domain": self.item.domain,
            "framework": self.item.framework,
            "topology": self.item.topology,
            "origin": "natural" if natural else "injected",
            "operator": labelled.operator if isinstance(labelled, LabelledRun) else "",
            "pattern": self.plan.pattern if natural else "",
            "mistake_kind": decisive.kind if decisive else "",
            "verification": labelled.verification,
            "split": split_of(self.domain, problem),
            "trace": json.loads(stored.to_json()),
        }


def _label(labelled: LabelledRun | UndecidedRun) -> Label | None:
    if isinstance(labelled, UndecidedRun):
        return None
    return Label(
        agent=labelled.trace.steps[labelled.step].agent,
        step=labelled.step,
        reason=labelled.reason,
        source="replay" if labelled.origin == "natural" else "injection",
    )


def without_clocks(trace: Trace, label: Label | None) -> Trace:
    """The trace with its label, and without times and random ids: equal runs become equal."""
    steps = tuple(
        step.model_copy(
            update={
                "started_at": None,
                "ended_at": None,
                "tool_calls": tuple(
                    call.model_copy(update={"started_at": None, "ended_at": None})
                    for call in step.tool_calls
                ),
            }
        )
        for step in trace.steps
    )
    observed: Observed = trace.observed.model_copy(update={"steps": steps})
    text = json.dumps(observed.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
    identity = f"tracertraj-{hashlib.blake2b(text.encode(), digest_size=10).hexdigest()}"
    return trace.model_copy(
        update={
            "id": identity,
            "observed": observed,
            "labels": (label,) if label is not None else (),
            "parent": None,
            "replayable": False,
            "started_at": None,
            "ended_at": None,
            "metadata": {"format": "tracertraj"},
        }
    )


# -- in a process of its own


_worker: Worker | None = None


def start_in_process(settings: Settings) -> None:
    """Prepare a worker process; it ends when the process that started it does."""
    global _worker  # noqa: PLW0603 - one worker for each process
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, name="collect-watch", daemon=True).start()
    logging.getLogger("agentracer").setLevel(logging.ERROR)
    _worker = Worker(settings)


def work_in_process(item: Item) -> dict[str, Any]:
    """Make one item in a prepared process."""
    if _worker is None:
        raise RuntimeError("start_in_process was not called here")
    return _worker.make(item)


def drain(settings: Settings, todo: list[Item]) -> Iterator[dict[str, Any]]:
    """Make items one after the other in this process."""
    with Worker(settings) as worker:
        for item in todo:
            yield worker.make(item)
