"""Run a program in a worker process with limits, watch it, and end everything that it started.

`sandbox` starts this file as a script of its own (`python -I -S sandbox_launcher.py ORDER`), so it
imports the standard library only. ORDER is a JSON object: `program` (path), `report_fd`, `wrapper`,
and the fields of `execution.ExecutionLimits`. The report is one JSON object: `exit_code` and
`stopped_by`.

A `wrapper` is the command line of bubblewrap. The worker then becomes bubblewrap, which starts this
file once more inside (`sandbox_launcher.py ORDER inside`) to set the limits there.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

_GRACE_SECONDS = 2.5  # how long processes that resist being killed are waited for
_SIGNALLED = 128
_WRAPPER_PROCESSES = 2  # bubblewrap itself, inside and outside
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522
_FIRST_SPARE_UID = 2**30  # user ids from here on are unused, also by ranges of containers


def _launch(order: dict[str, Any]) -> None:
    """Run the worker, watch it, end its whole family, and report."""
    libc = _load_libc()
    if sys.platform == "linux":
        # Orphans of the worker become children of this process, so they can be found and ended.
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    order["launcher"] = os.getpid()
    if order["wrapper"]:
        order["wrapper"] = _wrapped(order)
    worker = os.fork()
    if worker == 0:
        _become_worker(order, libc)
    exit_code, reason = _watch(worker, order)
    _end_family(worker)
    with os.fdopen(order["report_fd"], "wb") as report:
        report.write(json.dumps({"exit_code": exit_code, "stopped_by": reason}).encode())


def _wrapped(order: dict[str, Any]) -> list[str]:
    """The command line that runs this file inside the wrapper, with the paths as they are there."""
    inside = {**order, "wrapper": None, "program": order["program_inside"]}
    python = [sys.executable, "-I", "-S", "-B", order["launcher_inside"]]
    return [*order["wrapper"], *python, json.dumps(inside), "inside"]


def _become_worker(order: dict[str, Any], libc: Any) -> None:
    """Limit this process and turn it into the interpreter that runs the program; never returns."""
    try:
        os.setpgid(0, 0)
        os.close(order["report_fd"])
        os.nice(5)  # the launcher has to get the CPU even when the program wants all of it
        if order["wrapper"]:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            os.execv(order["wrapper"][0], order["wrapper"])  # noqa: S606
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


def _run_inside(order: dict[str, Any]) -> None:
    """Inside bubblewrap: limit this process and turn it into the interpreter; never returns."""
    try:
        if os.geteuid() == 0:
            user = _FIRST_SPARE_UID + order["launcher"]  # unique, so each run is counted for itself
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)  # leaves no capability
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
    limits = {
        resource.RLIMIT_NPROC: (tasks, tasks),
        resource.RLIMIT_CPU: (cpu, cpu + 1),  # SIGXCPU first, SIGKILL if that is ignored
        resource.RLIMIT_AS: (order["memory_bytes"],) * 2,
        resource.RLIMIT_FSIZE: (order["file_bytes"],) * 2,
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_NOFILE: (256, 256),
    }
    for kind, limit in limits.items():
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


def _watch(worker: int, order: dict[str, Any]) -> tuple[int, str | None]:
    """Wait until the worker ends or a limit is passed; orphans are reaped on the way."""
    deadline = time.monotonic() + order["wall_seconds"]
    pause = 0.001
    while True:
        pid, status, usage = os.wait4(-1, os.WNOHANG)
        if pid == worker:
            exit_code = os.waitstatus_to_exitcode(status)
            if order["wrapper"] and exit_code > _SIGNALLED:
                exit_code = (
                    _SIGNALLED - exit_code
                )  # how bubblewrap passes on that a signal ended it
            used = usage.ru_utime + usage.ru_stime
            out_of_cpu = exit_code == -signal.SIGXCPU or (
                exit_code == -signal.SIGKILL and used >= order["cpu_seconds"]
            )
            return exit_code, "cpu" if out_of_cpu else None
        if pid:
            continue
        if time.monotonic() > deadline:
            return -signal.SIGKILL, "wall"
        most = order["processes"] + (_WRAPPER_PROCESSES if order["wrapper"] else 0)
        if len(_descendants(os.getpid(), enough=most + 1)) > most:
            return -signal.SIGKILL, "processes"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.01)


def _end_family(worker: int) -> None:
    """Kill the worker's group at once, then whatever left it, until nothing is left to wait for."""
    deadline = time.monotonic() + _GRACE_SECONDS
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
    processes: list[int] = []
    waiting = [root]
    while waiting and len(processes) < enough:
        parent = waiting.pop()
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # a process may end while it is looked at
                waiting.extend(int(child) for child in children.read_text().split())
        if parent != root:
            processes.append(parent)
    return processes


def _load_libc() -> Any:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


if __name__ == "__main__":
    if sys.argv[2:] == ["inside"]:
        _run_inside(json.loads(sys.argv[1]))
    _launch(json.loads(sys.argv[1]))
