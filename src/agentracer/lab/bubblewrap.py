"""Run Python code inside bubblewrap, for `sandbox.run_python(boundary="bubblewrap")`.

bubblewrap (`bwrap`) gives the program namespaces of its own: it sees no network, no process but its
own, and of the file system the interpreter and the system's libraries, read-only, with one empty
directory in memory to write to. It needs no daemon and no image; without root it needs user
namespaces. That is as strong as the kernel: no boundary against a bug in it.

Not bounded is the sum over processes of memory and CPU time, which needs a container.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from agentracer.errors import SandboxUnavailable
from agentracer.lab.execution import ExecutionLimits

__all__ = ["WORK_DIRECTORY", "command", "find_bwrap"]

WORK_DIRECTORY = "/sandbox/work"
"""The only directory that a program can write to."""

_SYSTEM_DIRECTORIES = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/nix/store")
_LINKER_FILES = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives")
_PROBE_SECONDS = 20.0


def command(bwrap: str, limits: ExecutionLimits, files: dict[str, Path]) -> list[str]:
    """The command line up to the program to run.

    Args:
        bwrap: path of the executable.
        limits: `file_bytes` bounds all that the program can write.
        files: path inside -> file outside, to be readable inside.
    """
    return [
        *(bwrap, "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
        *("--unshare-cgroup-try", "--die-with-parent", "--new-session", "--clearenv"),
        *_user_options(),
        *(option for path in _readable() for option in _bind(path)),
        *(option for path in _LINKER_FILES for option in ("--ro-bind-try", path, path)),
        *("--proc", "/proc", "--dev", "/dev"),
        *("--perms", "1777", "--size", str(limits.file_bytes), "--tmpfs", WORK_DIRECTORY),
        *(o for inside, file in files.items() for o in ("--ro-bind", str(file), inside)),
        *("--remount-ro", "/", "--chdir", WORK_DIRECTORY),
        *("--setenv", "HOME", WORK_DIRECTORY, "--setenv", "TMPDIR", WORK_DIRECTORY),
        *("--setenv", "PATH", os.defpath, "--setenv", "LANG", "C.UTF-8"),
    ]


def find_bwrap() -> str:
    """The path of a `bwrap` that can run here.

    Raises:
        SandboxUnavailable: there is none, or it cannot make its namespaces.
    """
    where = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    bwrap = shutil.which("bwrap", path=where)
    if bwrap is None:
        raise SandboxUnavailable("there is no `bwrap` command")
    problem = _problem(bwrap)
    if problem:
        raise SandboxUnavailable(problem)
    return bwrap


@functools.cache
def _problem(bwrap: str) -> str:
    """Why bwrap cannot run a program here; empty where it can."""
    words = [*command(bwrap, ExecutionLimits(), {}), sys.executable, "-I", "-S", "-c", "pass"]
    try:
        probe = subprocess.run(  # noqa: S603
            words, capture_output=True, timeout=_PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if probe.returncode == 0:
        return ""
    return probe.stderr.decode("utf-8", "replace").strip() or f"exit status {probe.returncode}"


def _user_options() -> list[str]:
    """Root keeps the rights to become another user, which the launcher inside then does."""
    if os.geteuid() == 0:
        return ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return ["--unshare-user", "--disable-userns"]


def _bind(path: str) -> list[str]:
    """Show a directory, read-only, below directories that everybody may pass through."""
    above = [str(parent) for parent in reversed(Path(path).parents) if str(parent) != "/"]
    return [
        *(option for parent in above for option in ("--perms", "0755", "--dir", parent)),
        *("--ro-bind", path, path),
    ]


def _readable() -> list[str]:
    """What every program may read: the system's libraries and the interpreter with its packages."""
    paths = [path for path in _SYSTEM_DIRECTORIES if Path(path).exists()]
    for prefix in dict.fromkeys((sys.base_prefix, sys.prefix)):
        if not any(Path(prefix).is_relative_to(path) for path in paths):
            paths.append(prefix)
    return paths
