"""Describe what a program may use, and the result of running it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["DEFAULT_LIMITS", "Execution", "ExecutionLimits", "StopReason"]

StopReason = Literal["wall", "cpu", "processes", "launcher"]
"""The limit that ended a run; `launcher` is the launcher's own death."""


@dataclass(frozen=True, slots=True)
class ExecutionLimits:
    """What one run may use.

    Attributes:
        wall_seconds: Time on the clock, from the start of the interpreter.
        cpu_seconds: CPU time of each process; rounded up to whole seconds.
        memory_bytes: Address space of each process.
        file_bytes: Size of each file written.
        processes: How many processes and threads may exist at once; to start one more fails.
        output_bytes: How much of stdout, and of stderr, is kept; the rest is read and dropped.
    """

    wall_seconds: float = 10.0
    cpu_seconds: float = 5.0
    memory_bytes: int = 512 * 1024**2
    file_bytes: int = 16 * 1024**2
    processes: int = 32
    output_bytes: int = 256 * 1024


DEFAULT_LIMITS = ExecutionLimits()
"""Ten seconds, half a gigabyte, 32 processes."""


@dataclass(frozen=True, slots=True)
class Execution:
    """The result of one run.

    Attributes:
        exit_code: The exit status; minus the signal number for a process that a signal ended.
        stdout: The first `ExecutionLimits.output_bytes` of the output, decoded as UTF-8.
        stderr: The same for the error stream.
        timed_out: True when the clock or the CPU limit ended the run.
        truncated: True when some output was dropped.
        seconds: Time on the clock, start-up and clean-up included.
        stopped_by: The limit that ended the run, or None. "launcher" says that the launcher itself
            died, or could not start the worker; stderr then says why, if anything does.
    """

    exit_code: int
    stdout: str
    stderr: str
    timed_out: bool
    truncated: bool
    seconds: float
    stopped_by: StopReason | None = None
