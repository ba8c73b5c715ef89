"""Let many processes write one store while others read, delete and are killed; print what was lost.

    python benchmarks/soak.py [--minutes 30] [--writers 8] [--tasks 25]

Each writer runs `--tasks` asyncio tasks that record runs one after another (8 x 25 = 200) and notes
the id of each run that is finished and on disk in a file of its own. A reader lists, loads,
attributes and deletes runs that were noted. Writers are killed at random and started again. At the
end every noted run that was not deleted must load as a finished run with all its steps, ids must be
unique, and no writer may have printed an error.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import agentracer
from agentracer.errors import AgentracerError, TraceNotFound
from agentracer.event_writer import write_pending
from agentracer.store import Store

_STEPS = 5


async def _record_forever(notes: Path, number: int) -> None:
    rng = random.Random(f"{os.getpid()} {number}")
    while True:
        async with agentracer.record(f"task {number}") as run:
            for position in range(_STEPS):
                step = run.recorder.begin_step(f"agent {position % 2}")
                await asyncio.sleep(rng.random() / 20)
                run.recorder.end_step(step, content="x" * rng.randrange(2_000))
            run.fail("wrong")
        await asyncio.to_thread(write_pending)  # on an event loop a thread writes the events
        with notes.open("a") as file:  # one short line: written whole or not at all
            file.write(f"{run.id}\n")


async def write(notes: Path, tasks: int) -> None:
    """Record runs in many tasks until the process is killed."""
    await asyncio.gather(*(_record_forever(notes, number) for number in range(tasks)))


def _start(folder: Path, number: int, tasks: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, __file__, "--writer", str(folder), "--tasks", str(tasks)]
    errors = (folder / "errors.txt").open("ab")
    return subprocess.Popen(command, stderr=errors, env={**os.environ, "WRITER": str(number)})


def noted(folder: Path) -> list[str]:
    """The ids of all runs that a writer has seen end."""
    files = sorted(folder.glob("notes-*"))
    return [line for file in files for line in file.read_text().split("\n")[:-1]]


def read_and_delete(store: Store, known: list[str], rng: random.Random) -> tuple[str, str | None]:
    """Do one random thing with the store; return its name and the id that it deleted."""
    action = rng.choice(["list", "load", "attribute", "delete"])
    if action == "list" or not known:
        for _ in zip(range(200), store.summaries(), strict=False):
            pass
        return "list", None
    trace_id = rng.choice(known)
    try:
        if action == "delete":
            store.delete(trace_id)
            return action, trace_id
        trace = store.load(trace_id)
        if action == "attribute":
            store.save_verdict(agentracer.Tracer().attribute(trace))
    except TraceNotFound:
        return f"{action} of a deleted run", None
    return action, None


def check(store: Store, ids: list[str], deleted: set[str]) -> list[str]:
    """What is wrong with the store, one sentence each."""
    problems = [f"{i}: this id was given twice" for i, n in Counter(ids).items() if n > 1]
    for trace_id in ids:
        if trace_id in deleted:
            continue
        try:
            trace = store.load(trace_id)
        except AgentracerError as error:
            problems.append(f"{trace_id}: was acknowledged, and cannot be loaded: {error}")
            continue
        if len(trace.steps) != _STEPS or trace.outcome.ending != "finished" or trace.dropped:
            problems.append(f"{trace_id}: incomplete: {len(trace.steps)} steps, {trace.dropped}")
    return problems


def main() -> None:
    """Run the writers, the reader and the killer; print counts; exit 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--tasks", type=int, default=25)
    parser.add_argument("--writer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.writer is not None:
        notes = options.writer / f"notes-{os.environ['WRITER']}-{os.getpid()}"
        asyncio.run(write(notes, options.tasks))
        return
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    os.environ["AGENTRACER_HOME"] = str(folder / "store")
    store, rng = Store(), random.Random(0)
    actions: Counter[str] = Counter()
    deleted: set[str] = set()
    writers = [_start(folder, number, options.tasks) for number in range(options.writers)]
    end, next_kill = time.monotonic() + options.minutes * 60, time.monotonic() + 15
    while time.monotonic() < end:
        action, gone = read_and_delete(store, noted(folder)[-2_000:], rng)
        actions[action] += 1
        deleted |= {gone} if gone else set()
        if time.monotonic() > next_kill:
            number = rng.randrange(len(writers))
            writers[number].send_signal(signal.SIGKILL)
            writers[number].wait()
            writers[number] = _start(folder, number, options.tasks)
            actions["kill"] += 1
            next_kill = time.monotonic() + rng.uniform(2, 10)
    for writer in writers:
        writer.kill()
        writer.wait()
    ids = noted(folder)
    problems = check(store, ids, deleted)
    errors = (folder / "errors.txt").read_text().splitlines()
    unfinished = sum(summary.ending == "unfinished" for summary in store.summaries())
    print(f"{options.writers} processes of {options.tasks} tasks, {options.minutes:g} minutes")
    print(f"{len(ids)} runs acknowledged, {len(deleted)} deleted, {unfinished} cut off by a kill")
    print(", ".join(f"{count} x {action}" for action, count in sorted(actions.items())))
    print(f"{len(problems)} problems, {len(errors)} lines of errors from the writers")
    for line in [*problems[:10], *errors[:10]]:
        print(f"  {line}")
    sys.exit(1 if problems or errors else 0)


if __name__ == "__main__":
    main()
