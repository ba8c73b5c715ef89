"""Run Python code that nobody has read, in a subprocess with limits.

The caller's side (`run_python`) starts this same file as a small launcher process. The launcher
starts the worker that runs the code, watches it, and ends everything that the worker started. It
has to be a process of its own: limits and orphan adoption belong to a whole process, and the
caller may be a program with many threads, in which Python code must not run between fork and exec.

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
import math
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = ["DEFAULT_LIMITS", "IMAGE_VARIABLE", "Execution", "Limits", "run_python"]

IMAGE_VARIABLE = "AGENTRACER_SANDBOX_IMAGE"
"""Names the Docker image in which code runs, where no other is asked for."""

StopReason = Literal["wall", "cpu", "processes", "launcher"]

_GRACE_SECONDS = 5.0  # how long the caller waits for a launcher that is past its own deadline
_READ_BYTES = 1 << 16
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522
_FIRST_SPARE_UID = 2**30  # user ids from here on belong to nobody, nor to any container's range


@dataclass(frozen=True, slots=True)
class Limits:
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


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Execution:
    """What came of one run.

    Attributes:
        exit_code: The exit status; minus the signal number for a process that a signal ended.
        stdout: The first `Limits.output_bytes` of the output, decoded as UTF-8.
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


def run_python(
    source: str, *, limits: Limits = DEFAULT_LIMITS, image: str | None = None
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
    wanted = image or os.environ.get(IMAGE_VARIABLE)
    if wanted:
        from agentracer.lab.containers import run_in_container

        return run_in_container(source, wanted, limits)
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


# ---------------------------------------------------------------- the caller's side


@dataclass(slots=True)
class _Streams:
    stdout: bytearray
    stderr: bytearray
    report: bytearray
    truncated: bool = False


def _start_launcher(
    program: Path, home: Path, limits: Limits, report_fd: int
) -> subprocess.Popen[bytes]:
    order = {"program": str(program), "report_fd": report_fd, **asdict(limits)}
    # -S: the launcher needs no site-packages; the worker gets them, as any program would
    command = [sys.executable, "-I", "-S", "-B", str(Path(__file__).resolve()), json.dumps(order)]
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


def _collect(launcher: subprocess.Popen[bytes], report_fd: int, limits: Limits) -> _Streams:
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


# ---------------------------------------------------------------- the launcher's side


def _launch(order: dict[str, Any]) -> None:
    """Run the worker, watch it, end its whole family, and report."""
    libc = _load_libc()
    if sys.platform == "linux":
        # Orphans of the worker become children of this process, so they can be found and ended.
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    worker = os.fork()
    if worker == 0:
        _become_worker(order, libc)
    exit_code, reason = _watch(worker, order)
    _end_family(worker)
    with os.fdopen(order["report_fd"], "wb") as report:
        report.write(json.dumps({"exit_code": exit_code, "stopped_by": reason}).encode())


def _become_worker(order: dict[str, Any], libc: Any) -> None:
    """Limit this process and turn it into the interpreter that runs the program; never returns."""
    try:
        os.setpgid(0, 0)
        os.close(order["report_fd"])
        os.nice(5)  # the launcher has to get the CPU even when the program wants all of it
        if os.geteuid() == 0 and sys.platform == "linux":
            # The kernel limits the processes of every user but root. The launcher's id is unique
            # as long as it lives, so each run is counted for itself.
            _leave_root(libc, _FIRST_SPARE_UID + os.getppid(), Path(order["program"]))
        if sys.platform == "linux":
            # After the change of user, which clears it: the worker dies with its launcher.
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _limit_self(order)
        python = [sys.executable, "-I", "-B", "-X", "utf8", order["program"]]
        os.execv(sys.executable, python)  # noqa: S606
    except OSError as error:
        os.write(2, f"agentracer.lab.sandbox: the code was not run: {error}\n".encode())
    finally:
        os._exit(127)


def _leave_root(libc: Any, user: int, program: Path) -> None:
    """Become `user`, who owns the program's directory and may read any file, and nothing more.

    Reading stays allowed because the interpreter often lies in root's home; see capabilities(7).

    Raises:
        OSError: The change is denied. Code is not run with the rights of root instead.
    """
    import ctypes

    for path in (program.parent, program, Path.cwd()):
        os.chown(path, user, user)
    libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Effective, permitted, inheritable. Some containers withhold the capability from root: then
    # none is kept, and the interpreter has to lie where everybody may read it.
    kept = 1 << _CAP_DAC_READ_SEARCH
    if libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, kept, 0, 0, 0)) == 0:
        # An ambient capability survives the exec of the interpreter.
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_READ_SEARCH, 0, 0)
    elif libc.capset(header, (ctypes.c_uint32 * 6)()) != 0:
        msg = "root's capabilities cannot be dropped"
        raise OSError(msg)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _limit_self(order: dict[str, Any]) -> None:
    import resource

    cpu = math.ceil(order["cpu_seconds"])
    tasks = _tasks_of_user() + order["processes"] - 1  # this process is counted already
    wanted = {
        resource.RLIMIT_NPROC: (tasks, tasks),
        resource.RLIMIT_CPU: (cpu, cpu + 1),  # SIGXCPU first, SIGKILL if that is ignored
        resource.RLIMIT_AS: (order["memory_bytes"],) * 2,
        resource.RLIMIT_FSIZE: (order["file_bytes"],) * 2,
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_NOFILE: (256, 256),
    }
    for kind, limit in wanted.items():
        ceiling = resource.getrlimit(kind)[1]
        if ceiling == resource.RLIM_INFINITY:
            soft, hard = limit
        else:
            soft, hard = min(limit[0], ceiling), min(limit[1], ceiling)
        # macOS refuses an address space limit; the other limits still hold there
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (soft, hard))


def _tasks_of_user() -> int:
    """How many processes and threads the user of this process has; 1 where /proc is missing."""
    tasks = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # a process may end while it is looked at
            if process.stat().st_uid == os.getuid():
                tasks += len(list((process / "task").iterdir()))
    return max(tasks, 1)


def _watch(worker: int, order: dict[str, Any]) -> tuple[int, StopReason | None]:
    """Wait until the worker ends or a limit is passed; orphans are reaped on the way."""
    deadline = time.monotonic() + order["wall_seconds"]
    pause = 0.001
    while True:
        pid, status, usage = os.wait4(-1, os.WNOHANG)
        if pid == worker:
            exit_code = os.waitstatus_to_exitcode(status)
            used = usage.ru_utime + usage.ru_stime
            out_of_cpu = exit_code == -signal.SIGXCPU or (
                exit_code == -signal.SIGKILL and used >= order["cpu_seconds"]
            )
            return exit_code, "cpu" if out_of_cpu else None
        if pid:
            continue
        if time.monotonic() > deadline:
            return -signal.SIGKILL, "wall"
        if len(_descendants(os.getpid(), enough=order["processes"] + 1)) > order["processes"]:
            return -signal.SIGKILL, "processes"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.01)


def _end_family(worker: int) -> None:
    """Kill the worker's group at once, then whatever left it, until nothing is left to wait for."""
    deadline = time.monotonic() + _GRACE_SECONDS / 2
    while time.monotonic() < deadline:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(worker, signal.SIGKILL)
        for pid in _descendants(os.getpid(), enough=1000):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)


def _descendants(root: int, *, enough: int) -> list[int]:
    """Up to `enough` of the processes below `root`, zombies too; none where /proc is missing."""
    found: list[int] = []
    waiting = [root]
    while waiting and len(found) < enough:
        parent = waiting.pop()
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # a process may end while it is looked at
                waiting.extend(int(child) for child in children.read_text().split())
        if parent != root:
            found.append(parent)
    return found


def _load_libc() -> Any:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


if __name__ == "__main__":
    _launch(json.loads(sys.argv[1]))
