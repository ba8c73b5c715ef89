"""Write the files that later releases have to read: `tests/compat/data/<version>`.

    python -m scripts.write_compat_files tests/compat/data/0.1.0

Run it once for each release, on the commit that is released, from the root of the checkout, and
commit the folder that it writes. Never run it again for a version that is out: the files have to be
those that the release wrote. It needs the `dev` environment (`make test` sets it up).

    store.tar.gz        a store: runs that failed, of two processes, and unfinished ones; verdicts;
                        the journal of a finished search for the decisive step, and of an
                        interrupted one
    evolution.tar.gz    a store: an evolution that was completed, one that was interrupted, lessons
    collected.tar.gz    a TracerTraj data set and the journal of its collection
    verdicts.json.gz    verdicts of the embedded tracer on that data set
    model.json.gz       an embedded tracer, adapted to that data set
    report.json         the report of the evolution
    export.json         one of the failed runs, in our own format
    export.atif.json    the same run as an ATIF trajectory, with its verdict
    event.json          attributes of the OpenTelemetry event of a verdict
    index.json          which trace in the stores is what
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.compat import team

import agentracer
from agentracer.evolution import LessonStore
from agentracer.formats.otel.export import emit_verdict
from agentracer.replay import find_decisive
from agentracer.store import Store

COLLECTED_RUNS = 16


class Interrupted(Exception):
    """Ends a search or an evolution in the middle, as a killed process would."""


def main() -> None:
    """Write all files into the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder.absolute()
    folder.mkdir(parents=True)
    agentracer.instrument("langgraph")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        index = write_store(work / "store", folder)
        pack(work / "store", folder / "store.tar.gz")
        index |= write_evolution(work / "evolution", folder)
        pack(work / "evolution", folder / "evolution.tar.gz")
        write_collected(work / "collected", folder)
        pack(work / "collected", folder / "collected.tar.gz")
    write_json(folder / "index.json", {"version": agentracer.__version__, **index})


def write_store(home: Path, folder: Path) -> dict[str, Any]:
    """Runs, verdicts and replays; returns which run is what."""
    os.environ["AGENTRACER_HOME"] = str(home)
    store = Store(home)
    index: dict[str, Any] = {}
    with team.served_team() as graph:
        failed = recorded(graph, team.TASKS[0])
        verdict = agentracer.Tracer().attribute(failed.trace)
        store.save_verdict(verdict)
        index["failed"] = failed.id
        write_json(folder / "event.json", event_of(verdict, failed.trace))

        judged = recorded(graph, team.TASKS[0])
        with team.ModelServer(team.JudgeModel()) as judge:
            tracer = agentracer.Tracer(f"openai:judge@{judge.base_url}?context=32768")
            store.save_verdict(tracer.attribute(judged.trace))
        index["judged"] = judged.id

        verified = recorded(graph, team.TASKS[1])
        system = team.system(graph, team.TASKS[1], store)
        store.save_verdict(find_decisive(verified.trace, system, team.oracle).verdict)
        index["verified"] = verified.id

        searched = recorded(graph, team.TASKS[1])
        try:
            find_decisive(searched.trace, system, team.oracle, on_replay=after(2))
        except Interrupted:
            index["interrupted_search"] = searched.id

        index["succeeded"] = recorded(graph, team.TASKS[2]).id
        index["forked_parent"], index["forked_child"] = forked(graph)
        index["unfinished"] = unfinished(graph)
    for form, name in (("json", "export.json"), ("atif", "export.atif.json")):
        text = agentracer_command("export", failed.id, "--format", form)
        (folder / name).write_text(text, encoding="utf-8")
    return index


def write_evolution(home: Path, folder: Path) -> dict[str, Any]:
    """An evolution that was completed, and one that was not; returns the sessions' names."""
    os.environ["AGENTRACER_HOME"] = str(home)
    store = Store(home)
    with team.served_team() as graph:
        options = team.evolve_options(graph)
        report = agentracer.evolve(**options, store=store, session="completed")
        write_json(folder / "report.json", report.to_json())
        try:
            agentracer.evolve(**options, store=store, session="interrupted", progress=after(6))
        except Interrupted:
            pass
        else:
            raise SystemExit("the evolution ended before it could be interrupted")
    return {"lessons": [lesson.to_json() for lesson in LessonStore.of(store)]}


def write_collected(data: Path, folder: Path) -> None:
    """A data set and its journal, verdicts on it, and a model adapted to it."""
    agentracer_command(
        "collect", "--domain", "sums", "--framework", "langgraph", "--n", str(COLLECTED_RUNS),
        "--out", str(data), "--workers", "2",
    )  # fmt: skip
    verdicts = agentracer_command("attribute", str(data / "train.jsonl"), "--json")
    (folder / "verdicts.json.gz").write_bytes(gzip.compress(verdicts.encode(), mtime=0))
    model = data.parent / "model.json"
    agentracer_command("adapt", str(data / "train.jsonl"), "--output", str(model))
    (folder / "model.json.gz").write_bytes(gzip.compress(model.read_bytes(), mtime=0))


def recorded(graph: Any, task: str) -> agentracer.Run:
    """One run of the team."""
    with agentracer.record(task=task, check=lambda state: team.is_right(task, state)) as run:
        run.result = team.run(graph, task)
    return run


def forked(graph: Any) -> tuple[str, str]:
    """Ids of a run that forks, and of what its child records."""
    task = team.TASKS[0]
    read, write = os.pipe()
    with agentracer.record(task=task, check=lambda state: team.is_right(task, state)) as run:
        run.result = team.run(graph, task)
        child = os.fork()
        if child == 0:
            team.run(graph, task)
            os.write(write, run.id.encode())
            os._exit(0)
        os.waitpid(child, 0)
    return run.id, os.read(read, 100).decode()


def unfinished(graph: Any) -> str:
    """Id of a run whose process died."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with agentracer.record(task=team.TASKS[0]) as run:
            team.run(graph, team.TASKS[0])
            os.write(write, run.id.encode())
            os._exit(9)
    os.waitpid(child, 0)
    return os.read(read, 100).decode()


def after(calls: int) -> Callable[..., None]:
    """A progress callback that interrupts at a call."""
    count = iter(range(1, calls))

    def callback(*_: object) -> None:
        if next(count, None) is None:
            raise Interrupted

    return callback


def event_of(verdict: agentracer.Verdict, trace: agentracer.Trace) -> dict[str, Any]:
    """Attributes of the event that OpenTelemetry gets of a verdict."""
    from opentelemetry.sdk.trace import TracerProvider

    with TracerProvider().get_tracer("compat").start_as_current_span("run") as span:
        emit_verdict(verdict, trace)
    (event,) = span.events  # type: ignore[attr-defined]
    return {"name": event.name, "attributes": dict(event.attributes)}


def agentracer_command(*arguments: str) -> str:
    """Run our command line in the store of the moment; returns its stdout."""
    command = [sys.executable, "-c", "from agentracer.cli import main; main()", *arguments]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    return finished.stdout


def pack(directory: Path, archive: Path) -> None:
    """A folder as one archive, with the same bytes for the same files."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for file in sorted(path for path in directory.rglob("*") if path.is_file()):
            if file.suffix != ".lock":
                tar.add(file, file.relative_to(directory))


def write_json(path: Path, data: Any) -> None:
    """Data as indented JSON."""
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
