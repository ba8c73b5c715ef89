"""Print what large traces cost: time and peak memory of list, show, attribute, report, export.

    python benchmarks/large.py [--megabytes 200 --steps 2000] [--short-steps 100000]

Each command runs in a process of its own on a store that holds the one trace. The peak is the
largest resident size of that process less that of `agentracer --version`. Processor time is what a
machine without other work would take; elapsed time is longer where others work beside it. Where a
Chromium is installed, it opens the page and waits until its first step is painted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Cost:
    """What one command took.

    Attributes:
        seconds: elapsed.
        processor: seconds of processor time.
        peak: resident megabytes.
        status: exit status.
    """

    seconds: float
    processor: float
    peak: float
    status: int


def measured(arguments: list[str], folder: Path) -> Cost:
    """Run one command and measure it."""
    # The peak is not `ru_maxrss`, which is at least what the parent had when it started the child.
    started = time.perf_counter()
    code = (
        "import resource, sys; from agentracer.cli import main\n"
        "try:\n    main()\nfinally:\n"
        "    used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "    status = open('/proc/self/status').read()\n"
        "    peak = status.partition('VmHWM:')[2].split()[0]\n"
        "    print(peak, used.ru_utime + used.ru_stime, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    peak, processor = done.stderr.strip().splitlines()[-1].split()
    return Cost(seconds, float(processor), int(peak) / 1_000, done.returncode)


def seconds_in_browser(page: Path) -> float | None:
    """Seconds until Chromium has painted the first step of a page; None where there is none."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "report"))
    chromium = importlib.import_module("chromium")
    if chromium.find() is None:
        return None
    with chromium.browser() as tab:
        seconds: float = tab.open(page)
        if not chromium.texts(tab, ".step"):
            raise RuntimeError(f"{page}: no step is shown: {tab.complaints()}")
        return seconds


def measure(title: str, steps: int, characters: int) -> None:
    """Record one trace and print what each command costs on it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["AGENTRACER_HOME"] = str(folder / "store")
        record_run(steps, characters)
        size = Store().size() / 1e6
        idle = measured(["--version"], folder).peak
        print(f"{title}: {steps:,} steps, {size:.0f} MB on disk; idle process {idle:.0f} MB")
        for command, arguments in _COMMANDS.items():
            cost = measured(arguments, folder)
            note = "" if cost.status == 0 else f"  (exit status {cost.status})"
            print(
                f"  {command:10}{cost.seconds:8.1f} s elapsed{cost.processor:8.1f} s of processor"
                f"{cost.peak - idle:9.0f} MB above idle{note}",
                flush=True,
            )
        page = folder / "run.html"
        if page.exists():
            opened = seconds_in_browser(page)
            shown = "no Chromium here" if opened is None else f"first step after {opened:.1f} s"
            print(f"  the page has {page.stat().st_size / 1e6:.1f} MB; {shown}", flush=True)


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
