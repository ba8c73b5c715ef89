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

Use a container (`image=`, see `agentracer.lab.containers`) or a virtual machine for code that may
be hostile rather than merely wrong.
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
from typing import Any

from agentracer.lab.containers import run_in_container
from agentracer.lab.execution import DEFAULT_LIMITS, Execution, ExecutionLimits

__all__ = ["DEFAULT_LIMITS", "IMAGE_VARIABLE", "Execution", "ExecutionLimits", "run_python"]

IMAGE_VARIABLE = "AGENTRACER_SANDBOX_IMAGE"
"""Names the Docker image in which code runs, where no other is asked for."""

_GRACE_SECONDS = 5.0  # how long the caller waits for a launcher that is past its own deadline
_READ_BYTES = 1 << 16
_LAUNCHER = Path(__file__).resolve().with_name("sandbox_launcher.py")


def run_python(
    source: str, *, limits: ExecutionLimits = DEFAULT_LIMITS, image: str | None = None
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

    Raises:
        OSError: The system cannot start a process or make a temporary directory, or is not POSIX.
        ContainerUnavailable: A container was asked for, and Docker does not start it.
    """
    container_image = image or os.environ.get(IMAGE_VARIABLE)
    if container_image:
        return run_in_container(source, container_image, limits)
    if os.name != "posix":  # pragma: no cover
        msg = "agentracer.lab.sandbox needs a POSIX system: it limits code with setrlimit"
        raise OSError(msg)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="agentracer-", ignore_cleanup_errors=True) as folder:
        program = Path(folder) / "main.py"
        # surrogatepass: the interpreter shall complain about bad text, in the worker's stderr
        program.write_bytes(source.encode("utf-8", "surrogatepass"))
        home = Path(folder) / "work"
        home.mkdir()
        report_read, report_write = os.pipe()
        try:
            with _start_launcher(program, home, limits, report_write) as launcher:
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


def _start_launcher(
    program: Path, home: Path, limits: ExecutionLimits, report_fd: int
) -> subprocess.Popen[bytes]:
    order = {"program": str(program), "report_fd": report_fd, **asdict(limits)}
    # -S: the launcher needs no site-packages; the worker gets them, as any program would
    command = [sys.executable, "-I", "-S", "-B", str(_LAUNCHER), json.dumps(order)]
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
        pass_fds=(report_fd,),
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
