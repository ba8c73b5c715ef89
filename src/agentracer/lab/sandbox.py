"""Run unreviewed Python code in a subprocess with limits.

`run_python` starts a small launcher process (`sandbox_launcher`). The launcher starts the worker
that runs the code, watches it, and ends everything that the worker started. It has to be a process
of its own: limits and orphan adoption belong to a whole process, and the caller may be a program
with many threads, in which Python code must not run between fork and exec.

What is contained: endless loops, memory, one huge file, endless output, fork bombs, children that
outlive the program, reads from stdin, the caller's environment variables.

THIS IS NO SECURITY BOUNDARY. The code runs as the user who runs the caller, or, for root, as a
user that exists for this run only and may still read every file. Not covered:

* the network: code may open sockets;
* reading files: all that the user may read, the caller's `/proc/<pid>/environ` included (root's
  worker: every file, but not the memory or the environment of other processes);
* writing and deleting files outside the working directory, where the user may write (root's
  worker: where everybody may, such as /tmp);
* signals to, and tracing of, other processes of the user (root's worker: none). Code that kills
  its launcher is killed with it, but children that it started before that stay behind;
* the sum over processes and files: CPU time, memory and file size bind each process or file, so
  the worst case is `processes` times these, and as many files as the disk takes;
* the exact number of processes: the kernel counts all that a user runs, so the limit is what is
  running at the start plus what is allowed, and other programs of the user that start or end
  meanwhile shift it (root's worker is counted alone);
* anything that a kernel bug allows.

Use bubblewrap (`boundary="bubblewrap"`, see `agentracer.lab.bubblewrap`), a container (`image=`,
see `agentracer.lab.containers`) or a virtual machine for code that may be hostile rather than
merely wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from agentracer.lab.bubblewrap import command as bubblewrap_command
from agentracer.lab.bubblewrap import find_bwrap
from agentracer.lab.containers import run_in_container
from agentracer.lab.execution import DEFAULT_LIMITS, Execution, ExecutionLimits

__all__ = [
    "BOUNDARY_VARIABLE",
    "DEFAULT_LIMITS",
    "IMAGE_VARIABLE",
    "Boundary",
    "Execution",
    "ExecutionLimits",
    "run_python",
]

IMAGE_VARIABLE = "AGENTRACER_SANDBOX_IMAGE"
"""Names the Docker image in which code runs, where no other is asked for."""

_GRACE_SECONDS = 5.0  # how long the caller waits for a launcher that is past its own deadline
_READ_BYTES = 1 << 16
_LAUNCHER = Path(__file__).resolve().with_name("sandbox_launcher.py")


BOUNDARY_VARIABLE = "AGENTRACER_SANDBOX"
"""Names the boundary around code, where no other is asked for: `bubblewrap`, or `none`."""

Boundary = Literal["bubblewrap", "none"]

_PROGRAM_INSIDE = "/sandbox/main.py"
_LAUNCHER_INSIDE = "/sandbox/launcher.py"


def run_python(
    source: str,
    *,
    limits: ExecutionLimits = DEFAULT_LIMITS,
    image: str | None = None,
    boundary: Boundary | None = None,
) -> Execution:
    """Run `source` as a program of its own and wait for its end.

    Whatever the code does, this returns an `Execution`: a syntax error, a lone surrogate or a
    crash of the interpreter are results, not exceptions. Safe to call from several threads.

    Args:
        source: The program. It sees no arguments, an empty stdin and an empty directory.
        limits: What it may use.
        image: Run it in a Docker container of this local image instead, such as
            `python:3.11-slim`; if None, that of the environment variable AGENTRACER_SANDBOX_IMAGE,
            if it is set.
        boundary: `bubblewrap` runs it in namespaces of its own, without network and other files; if
            None, that of the environment variable AGENTRACER_SANDBOX, if it is set. A container
            that is asked for as well is used instead.

    Raises:
        OSError: The system cannot start a process or make a temporary directory, or is not POSIX.
        ContainerUnavailable: A container was asked for, and Docker does not start it.
        SandboxUnavailable: bubblewrap was asked for, and cannot run here.
        ValueError: There is no such boundary.
    """
    container_image = image or ("" if boundary else os.environ.get(IMAGE_VARIABLE))
    around = boundary or os.environ.get(BOUNDARY_VARIABLE) or "none"
    if around not in get_args(Boundary):
        names = " or ".join(get_args(Boundary))
        raise ValueError(f"there is no boundary {around!r}; use {names} ({BOUNDARY_VARIABLE})")
    if container_image:
        return run_in_container(source, container_image, limits)
    if os.name != "posix":  # pragma: no cover
        msg = "agentracer.lab.sandbox needs a POSIX system: it limits code with setrlimit"
        raise OSError(msg)
    bwrap = find_bwrap() if around == "bubblewrap" else None
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="agentracer-", ignore_cleanup_errors=True) as folder:
        program = Path(folder) / "main.py"
        # surrogatepass: the interpreter shall complain about bad text, in the worker's stderr
        program.write_bytes(source.encode("utf-8", "surrogatepass"))
        home = Path(folder) / "work"
        home.mkdir()
        report_read, report_write = os.pipe()
        try:
            order = {"program": str(program), "report_fd": report_write, "wrapper": None}
            if bwrap is not None:
                order |= _bubblewrap_order(bwrap, program, limits)
            with _start_launcher(order, home, limits) as launcher:
                os.close(report_write)
                report_write = -1
                streams = _collect(launcher, report_read, limits)
        finally:
            os.close(report_read)
            if report_write >= 0:
                os.close(report_write)
    report = _parse_report(bytes(streams.report), launcher.returncode)
    reason = report["stopped_by"]
    return Execution(
        exit_code=report["exit_code"],
        stdout=streams.stdout.decode("utf-8", "replace"),
        stderr=streams.stderr.decode("utf-8", "replace"),
        timed_out=reason in ("wall", "cpu"),
        truncated=streams.truncated,
        seconds=time.monotonic() - started,
        stopped_by=reason,
    )


@dataclass(slots=True)
class _Streams:
    stdout: bytearray
    stderr: bytearray
    report: bytearray
    truncated: bool = False


def _bubblewrap_order(bwrap: str, program: Path, limits: ExecutionLimits) -> dict[str, Any]:
    files = {_PROGRAM_INSIDE: program, _LAUNCHER_INSIDE: _LAUNCHER}
    return {
        "wrapper": bubblewrap_command(bwrap, limits, files),
        "program_inside": _PROGRAM_INSIDE,
        "launcher_inside": _LAUNCHER_INSIDE,
    }


def _start_launcher(
    order: dict[str, Any], home: Path, limits: ExecutionLimits
) -> subprocess.Popen[bytes]:
    # -S: the launcher needs no site-packages; the worker gets them, as any program would
    command = [sys.executable, "-I", "-S", "-B", str(_LAUNCHER), json.dumps(order | asdict(limits))]
    environment = {
        "PATH": os.defpath,
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
    }
    return subprocess.Popen(  # noqa: S603  (running code is what this module is for)
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=home,
        env=environment,
        start_new_session=True,
        pass_fds=(order["report_fd"],),
    )


def _collect(
    launcher: subprocess.Popen[bytes], report_fd: int, limits: ExecutionLimits
) -> _Streams:
    """Read the three streams until the launcher is gone; keep no more than the limits allow."""
    if launcher.stdout is None or launcher.stderr is None:  # pragma: no cover
        msg = "the launcher was started without pipes"
        raise RuntimeError(msg)
    streams = _Streams(bytearray(), bytearray(), bytearray())
    deadline = time.monotonic() + limits.wall_seconds + _GRACE_SECONDS
    with selectors.DefaultSelector() as selector:
        for fd, kept in (
            (launcher.stdout.fileno(), streams.stdout),
            (launcher.stderr.fileno(), streams.stderr),
            (report_fd, streams.report),
        ):
            os.set_blocking(fd, False)
            selector.register(fd, selectors.EVENT_READ, kept)
        # The report pipe closes with the launcher. The others may stay open for ever in the hands
        # of a process that got away, so their end is not waited for.
        while report_fd in selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(timeout=0.5):
                _read_some(selector, key, streams, limits.output_bytes)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(launcher.pid, signal.SIGKILL)
        launcher.wait()
        for key in list(selector.get_map().values()):
            _read_some(selector, key, streams, limits.output_bytes)
    return streams


def _read_some(
    selector: selectors.BaseSelector, key: selectors.SelectorKey, streams: _Streams, keep: int
) -> None:
    """Take what is there on one stream, at most a few buffers of it; forget the stream at its end.

    The bound matters at the end of a run, when nothing but a process that got away may still write.
    """
    for _ in range(16):
        try:
            data = os.read(key.fd, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            selector.unregister(key.fileobj)
            return
        room = max(0, keep - len(key.data)) if key.data is not streams.report else _READ_BYTES
        streams.truncated |= len(data) > room
        key.data.extend(data[:room])


def _parse_report(data: bytes, launcher_code: int) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(data)
    except ValueError:
        return {"exit_code": launcher_code, "stopped_by": "launcher"}
    return report
