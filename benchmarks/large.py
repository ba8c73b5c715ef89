"""Print what large traces cost: seconds and peak memory of list, show, attribute, report, export.

    python benchmarks/large.py [--megabytes 200 --steps 2000] [--short-steps 100000]

Each command runs in a process of its own on a store that holds the one trace. The peak is the
largest resident size of that process less that of `agentracer --version`.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import agentracer
from agentracer.store import Store

_COMMANDS: dict[str, list[str]] = {
    "list": ["list"],
    "show": ["show", "latest"],
    "attribute": ["attribute", "latest"],
    "report": ["report", "latest", "-o", "run.html"],
    "export": ["export", "latest"],
}


def record_run(steps: int, characters: int) -> None:
    """Record a failed run of two agents that read the last two messages."""
    filler = "The quick brown fox jumps over the lazy dog, 42 times. " * (characters // 50 + 1)
    with agentracer.record("Write the long report.") as run:
        recorder = run.recorder
        previous = recorder.message("user", "Write the long report.")
        for number in range(steps):
            agent = ("writer", "editor")[number % 2]
            step = recorder.begin_step(agent, reads=[previous])
            content = f"Part {number}: {filler}"[:characters]
            recorder.end_step(step, content=content)
            previous = recorder.message("assistant", content, name=agent)
        run.fail("the report is wrong")


def measured(arguments: list[str], folder: Path) -> tuple[float, float, int]:
    """Seconds, peak resident megabytes and exit status of one command."""
    started = time.perf_counter()
    code = (
        "import resource, sys; from agentracer.cli import main\n"
        "try:\n    main()\nfinally:\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    peak = int(done.stderr.strip().splitlines()[-1]) / 1_000
    return time.perf_counter() - started, peak, done.returncode


def measure(title: str, steps: int, characters: int) -> None:
    """Record one trace and print what each command costs on it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["AGENTRACER_HOME"] = str(folder / "store")
        record_run(steps, characters)
        size = Store().size() / 1e6
        _, idle, _ = measured(["--version"], folder)
        print(f"{title}: {steps:,} steps, {size:.0f} MB on disk; idle process {idle:.0f} MB")
        for command, arguments in _COMMANDS.items():
            seconds, peak, status = measured(arguments, folder)
            note = "" if status == 0 else f"  (exit status {status})"
            print(
                f"  {command:10}{seconds:8.1f} s{peak - idle:9.0f} MB above idle{note}", flush=True
            )
        page = folder / "run.html"
        if page.exists():
            print(f"  the page has {page.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    """Measure both kinds of large trace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--short-steps", type=int, default=100_000)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if options.steps:
        # Each text is written twice, in its step and in the message that the next one reads.
        characters = options.megabytes * 10**6 // options.steps // 2
        measure("long steps", options.steps, characters)
    if options.short_steps:
        measure("short steps", options.short_steps, 60)


if __name__ == "__main__":
    main()
