"""Run Python code in a Docker container, for `sandbox.run_python(image=...)`.

The container has no network, no capabilities, a read-only root with one small scratch directory,
a user without rights, and limits of the kernel's control groups on memory, CPU and processes as a
whole. That is as strong as Docker: no boundary against a kernel bug, nor against a process that can
reach the Docker socket, which equals root on the host.
"""

from __future__ import annotations

import math
import os
import secrets
import selectors
import signal
import subprocess
import time

from agentracer.errors import ContainerUnavailable
from agentracer.lab.execution import Execution, ExecutionLimits

__all__ = ["command", "run_in_container"]

_UNPRIVILEGED_USER = "65534:65534"
_START_SECONDS = 20.0  # a container that has not begun by then is given up
_KILL_SECONDS = 20.0  # a daemon that has not killed a container by then does not answer
_READ_BYTES = 1 << 16
_CLIENT_FAILED = 125  # the exit status of `docker run` where docker itself failed
_SIGNALLED = 128  # to which docker adds the signal that ended the program
# Not the working directory of the container: Docker would make that beforehand, closed to others.
_SCRATCH = "/agentracer-scratch"
# The program comes through stdin, so that nothing of the host has to be mounted, and then finds
# an empty stdin, as it does in the sandbox.
_LOADER = (
    "import os,sys;os.chdir(os.environ['HOME']);"
    "code=sys.stdin.buffer.read();os.dup2(os.open(os.devnull,os.O_RDONLY),0);"
    "exec(compile(code,'main.py','exec'),{'__name__':'__main__'})"
)


def command(image: str, name: str, limits: ExecutionLimits) -> list[str]:
    """The `docker run` command line for one program."""
    scratch = f"{_SCRATCH}:rw,size={limits.file_bytes},mode=1777"
    return [
        *("docker", "run", "--rm", "--interactive", "--name", name, "--pull", "never"),
        *("--network", "none", "--read-only", "--tmpfs", scratch),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", _UNPRIVILEGED_USER),
        *("--memory", str(limits.memory_bytes), "--memory-swap", str(limits.memory_bytes)),
        *("--cpus", "1", "--pids-limit", str(limits.processes)),
        *("--ulimit", f"cpu={math.ceil(limits.cpu_seconds)}"),
        *("--ulimit", f"fsize={limits.file_bytes}"),
        *("--env", f"HOME={_SCRATCH}", "--env", f"TMPDIR={_SCRATCH}", "--env", "LANG=C.UTF-8"),
        *(image, "python", "-I", "-B", "-c", _LOADER),
    ]


def run_in_container(source: str, image: str, limits: ExecutionLimits) -> Execution:
    """Run `source` as a program in a new container of `image`, and remove the container.

    Args:
        source: the program.
        image: a local image with `python` in it, such as `python:3.11-slim`; it is never pulled.
        limits: as for `run_python`; memory and processes bind the container as a whole.

    Raises:
        ContainerUnavailable: no `docker`, no daemon, or no such image.
    """
    name = f"agentracer-{secrets.token_hex(8)}"
    started = time.monotonic()
    try:
        client = subprocess.Popen(  # noqa: S603 - running code is what this module is for
            command(image, name, limits),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise ContainerUnavailable("there is no `docker` command") from error
    with client:
        late = True
        try:
            kept, truncated, late = _talk(client, source.encode("utf-8", "surrogatepass"), limits)
            if late:
                _remove(name)
        finally:
            if late:  # or it failed: leaving the outer block waits for the client
                client.kill()
    stdout, stderr = (bytes(stream).decode("utf-8", "replace") for stream in kept)
    if client.returncode == _CLIENT_FAILED:
        raise ContainerUnavailable(stderr.strip() or "`docker run` failed")
    status = client.returncode
    if late:
        status = -signal.SIGKILL
    elif status > _SIGNALLED:
        status = _SIGNALLED - status
    return Execution(
        exit_code=status,
        stdout=stdout,
        stderr=stderr,
        timed_out=late,
        truncated=truncated,
        seconds=time.monotonic() - started,
        stopped_by="wall" if late else None,
    )


def _talk(
    client: subprocess.Popen[bytes], program: bytes, limits: ExecutionLimits
) -> tuple[tuple[bytearray, bytearray], bool, bool]:
    """Send the program and read both streams; whether something was dropped, and whether late."""
    kept = (bytearray(), bytearray())
    truncated = False
    deadline = time.monotonic() + limits.wall_seconds + _START_SECONDS
    streams = (client.stdin, client.stdout, client.stderr)
    to, *answers = (stream.fileno() for stream in streams if stream is not None)
    with selectors.DefaultSelector() as selector:
        os.set_blocking(to, False)
        selector.register(to, selectors.EVENT_WRITE)
        for fd, buffer in zip(answers, kept, strict=True):
            selector.register(fd, selectors.EVENT_READ, buffer)
        while len(selector.get_map()) > (to in selector.get_map()):
            left = deadline - time.monotonic()
            if left <= 0:
                return kept, truncated, True
            for key, _ in selector.select(timeout=left):
                if key.fd == to:
                    program = _send(client, program)
                    if not program:
                        selector.unregister(to)
                    continue
                data = os.read(key.fd, _READ_BYTES)
                if not data:
                    selector.unregister(key.fd)
                room = max(0, limits.output_bytes - len(key.data))
                truncated |= len(data) > room
                key.data.extend(data[:room])
    return kept, truncated, False


def _send(client: subprocess.Popen[bytes], program: bytes) -> bytes:
    """Write what the pipe takes; the rest comes back, nothing once the container stops reading."""
    if client.stdin is None:  # pragma: no cover
        raise RuntimeError("the docker client was started without pipes")
    try:
        written = os.write(client.stdin.fileno(), program[:_READ_BYTES])
    except BlockingIOError:
        return program
    except BrokenPipeError:
        written = len(program)
    rest = program[written:]
    if not rest:
        client.stdin.close()
    return rest


def _remove(name: str) -> None:
    """Kill a container that is late; `--rm` removes it then."""
    try:
        subprocess.run(  # noqa: S603
            ["docker", "kill", name],  # noqa: S607
            capture_output=True,
            timeout=_KILL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ContainerUnavailable(
            f"`docker kill {name}` did not answer within {_KILL_SECONDS:g} seconds, so that the "
            "container may still run"
        ) from error
