"""Hostile programs against real boundaries: bubblewrap, and a container of a running daemon.

Each program first runs without a boundary where that shows that it would succeed, so that a check
which cannot fail is noticed. `AGENTRACER_TEST_IMAGE` names the image (default: python:3.11-slim).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentracer.errors import SandboxUnavailable
from agentracer.lab import bubblewrap, sandbox
from agentracer.lab.sandbox import ExecutionLimits, run_python

pytestmark = pytest.mark.slow

IMAGE = os.environ.get("AGENTRACER_TEST_IMAGE", "python:3.11-slim")
MIB = 1024**2
LINUX = sys.platform == "linux"


def why_no_bubblewrap() -> str:
    try:
        bubblewrap.find_bwrap()
    except SandboxUnavailable as error:
        return str(error)
    return ""


def why_no_container() -> str:
    try:
        answer = subprocess.run(
            ["docker", "image", "inspect", IMAGE], capture_output=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return answer.stderr.decode().strip() if answer.returncode else ""


REASONS = {"bubblewrap": why_no_bubblewrap, "container": why_no_container}


@pytest.fixture(scope="module", params=["bubblewrap", "container"])
def boundary(request):
    reason = REASONS[request.param]()
    if reason:
        pytest.skip(f"{request.param}: {reason}")
    return request.param


@pytest.fixture
def inside(boundary):
    """Run a program inside the boundary."""

    def run(source, **limits):
        choice = {"image": IMAGE} if boundary == "container" else {"boundary": boundary}
        given = {"wall_seconds": 30.0, "cpu_seconds": 10.0, **limits}
        return run_python(source, limits=ExecutionLimits(**given), **choice)

    return run


def outside(source, **limits):
    """Run a program with limits alone."""
    given = {"wall_seconds": 30.0, "cpu_seconds": 10.0, **limits}
    return run_python(source, limits=ExecutionLimits(**given), boundary="none")


@pytest.fixture
def shared_folder(tmp_path):
    """A folder that every user of this machine may read and write."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o711)
    tmp_path.chmod(0o777)
    return tmp_path


def test_an_ordinary_program_runs(inside):
    run = inside("import sys; print(6 * 7); print('err', file=sys.stderr); sys.exit(3)")
    assert (run.exit_code, run.stdout, run.stderr) == (3, "42\n", "err\n")
    assert (run.timed_out, run.truncated, run.stopped_by) == (False, False, None)


def test_it_may_write_in_its_own_directory(inside):
    run = inside("open('note', 'w').write('kept'); print(open('note').read())")
    assert run.stdout == "kept\n"


def test_a_file_outside_cannot_be_read(inside, shared_folder):
    secret = shared_folder / "secret.txt"
    secret.write_text("the secret")
    secret.chmod(0o644)
    source = f"print(open({str(secret)!r}).read())"
    assert outside(source).stdout == "the secret\n"
    run = inside(source)
    assert run.exit_code == 1
    assert "secret" not in run.stdout
    assert "FileNotFoundError" in run.stderr


def test_no_file_of_the_users_is_found_anywhere(inside, shared_folder):
    (shared_folder / "find-me-7f3a").write_text("x")
    run = inside(
        "import os\n"
        "skip = {'/proc', '/sys', '/usr', '/lib', '/bin', '/dev'}\n"
        "for folder, names, files in os.walk('/'):\n"
        "    names[:] = [n for n in names if os.path.join(folder, n) not in skip]\n"
        "    if 'find-me-7f3a' in files: print('found in', folder)\n"
        "print('searched')"
    )
    assert run.stdout == "searched\n"


def test_nothing_outside_can_be_written(inside, shared_folder):
    source = (
        "import json, pathlib, sys\n"
        f"places = [{str(shared_folder)!r}, '/', '/etc', '/usr', '/usr/lib', '/root', '/home',\n"
        "    '/sandbox', '/proc/sys/kernel', '/sys', sys.prefix, sys.base_prefix]\n"
        "written = []\n"
        "for place in places:\n"
        "    try:\n"
        "        (pathlib.Path(place) / 'mark-7f3a').write_text('x')\n"
        "        written.append(place)\n"
        "    except OSError: pass\n"
        "print(json.dumps(written))"
    )
    assert str(shared_folder) in json.loads(outside(source).stdout)
    (shared_folder / "mark-7f3a").unlink()
    assert json.loads(inside(source).stdout) == []
    assert list(shared_folder.iterdir()) == []


def test_no_connection_reaches_this_machine(inside):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        source = (
            "import socket\n"
            f"s = socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 5)\n"
            "print('connected')"
        )
        assert outside(source).stdout == "connected\n"
        server.accept()[0].close()
        run = inside(source)
        assert "connected" not in run.stdout
        assert "Connection refused" in run.stderr
        with pytest.raises(TimeoutError):
            server.accept()


def test_no_address_outside_can_be_reached(inside):
    run = inside(
        "import socket\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.connect(('192.0.2.1', 53))\n"
        "print('a route')"
    )
    assert "a route" not in run.stdout
    assert "unreachable" in run.stderr


@pytest.mark.skipif(not LINUX, reason="abstract sockets are Linux's")
def test_no_unix_socket_of_this_machine_can_be_reached(inside):
    name = f"\0agentracer-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        source = (
            "import socket\n"
            f"s = socket.socket(socket.AF_UNIX); s.connect({name!r}); print('connected')"
        )
        assert outside(source).stdout == "connected\n"
        assert "connected" not in inside(source).stdout


def test_the_processes_of_this_machine_are_not_seen(inside, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "hunter2")
    run = inside(
        "import os\n"
        "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
        "    try: print(open(f'/proc/{pid}/environ', 'rb').read())\n"
        "    except OSError: pass\n"
        "    print(open(f'/proc/{pid}/cmdline', 'rb').read())"
    )
    assert run.exit_code == 0
    assert "hunter2" not in run.stdout
    assert "pytest" not in run.stdout


def test_the_caller_cannot_be_killed(inside):
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    try:
        run = inside(
            "import os, signal\n"
            f"for pid in [{victim.pid}, {os.getpid()}, {os.getppid()}, os.getppid(), 1, -1]:\n"
            "    try: os.kill(pid, signal.SIGKILL)\n"
            "    except OSError: pass\n"
            "print('tried')"
        )
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()
    assert run.exit_code in (0, -9)


def test_a_fork_bomb_ends_and_leaves_the_machine_usable(inside):
    run = inside(
        "import os, time\n"
        "made = 0\n"
        "while True:\n"
        "    try:\n"
        "        if os.fork() == 0: made = 0\n"
        "    except OSError: time.sleep(0.01)",
        wall_seconds=3.0,
        processes=16,
    )
    assert run.timed_out or run.stopped_by in ("wall", "cpu", "processes")
    assert subprocess.run([sys.executable, "-c", "print('alive')"], check=True).returncode == 0


def test_the_number_of_processes_is_bounded(inside):
    run = inside(
        "import os, time\n"
        "count = 1\n"
        "try:\n"
        "    while True:\n"
        "        if os.fork() == 0: time.sleep(20); os._exit(0)\n"
        "        count += 1\n"
        "except OSError: print(count, flush=True)\n"
        "os.kill(0, 9)",
        processes=12,
    )
    assert 2 <= int(run.stdout or 0) <= 12


def test_memory_is_bounded(inside):
    run = inside("x = bytearray(400 * 1024 * 1024); print(len(x))", memory_bytes=256 * MIB)
    assert run.exit_code != 0
    assert run.stdout == ""


def test_what_it_may_write_is_bounded_over_all_files(inside):
    run = inside(
        "import errno\n"
        "written = 0\n"
        "try:\n"
        "    for number in range(100):\n"
        "        with open(f'file-{number}', 'wb') as file:\n"
        "            written += file.write(bytes(1024 * 1024)); file.flush()\n"
        "except OSError as error: print(written, error.errno == errno.ENOSPC)",
        file_bytes=8 * MIB,
    )
    written, full = run.stdout.split()
    assert int(written) <= 8 * MIB
    assert full == "True"


def test_nothing_that_it_started_stays_behind(inside):
    mark = f"leftover-{os.getpid()}-{time.monotonic_ns()}"
    run = inside(
        "import os, subprocess, sys\n"
        f"code = 'import time; time.sleep(100) # {mark}'\n"
        "subprocess.Popen([sys.executable, '-c', code], start_new_session=True)\n"
        "print('started')"
    )
    assert run.stdout == "started\n"
    deadline = time.monotonic() + 10
    while mark in commands_of_this_machine():
        assert time.monotonic() < deadline, "the process is still there"
        time.sleep(0.1)


def commands_of_this_machine() -> str:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(entry.read_bytes().decode("utf-8", "replace"))
        except OSError:
            continue
    return "\n".join(found)


def test_no_right_can_be_gained(inside):
    run = inside(
        "import ctypes, json, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "gained = []\n"
        "def attempt(name, act):\n"
        "    try:\n"
        "        if act() in (None, 0): gained.append(name)\n"
        "    except OSError: pass\n"
        "attempt('root', lambda: os.setuid(0) if os.getuid() else 1)\n"
        "attempt('mount', lambda: libc.mount(b'none', b'/proc', b'tmpfs', 0, None))\n"
        "attempt('remount', lambda: libc.mount(b'none', b'/', None, 32, None))\n"
        "attempt('chroot', lambda: os.chroot('.'))\n"
        "attempt('device', lambda: os.mknod('disk', 0o60600, os.makedev(254, 0)))\n"
        "attempt('host name', lambda: libc.sethostname(b'x', 1))\n"
        "attempt('join', lambda: libc.setns(os.open('/proc/1/ns/net', os.O_RDONLY), 0))\n"
        "attempt('trace', lambda: libc.ptrace(16, 1, 0, 0))\n"
        "status = open('/proc/self/status').read()\n"
        "effective = status.partition('CapEff:')[2].split()[0]\n"
        "privileges = status.partition('NoNewPrivs:')[2].split()[0]\n"
        "print(json.dumps([gained, int(effective, 16), privileges]))"
    )
    assert json.loads(run.stdout) == [[], 0, "1"]


def test_a_program_that_sleeps_is_ended(inside, monkeypatch):
    monkeypatch.setattr("agentracer.lab.containers._START_SECONDS", 5.0)
    run = inside("import time; time.sleep(100)", wall_seconds=1.0)
    assert (run.timed_out, run.stopped_by) == (True, "wall")
    assert run.seconds < 30


def test_a_crash_is_a_result(inside):
    run = inside("import ctypes; ctypes.string_at(0)")
    assert run.exit_code == -signal.SIGSEGV


class TestChoice:
    def test_the_environment_variable_asks_for_bubblewrap(self, monkeypatch):
        reason = why_no_bubblewrap()
        if reason:
            pytest.skip(reason)
        monkeypatch.setenv(sandbox.BOUNDARY_VARIABLE, "bubblewrap")
        assert run_python("import os; print(os.getcwd())").stdout == "/sandbox/work\n"

    def test_an_unknown_boundary_is_refused_and_nothing_runs(self, monkeypatch, shared_folder):
        monkeypatch.setenv(sandbox.BOUNDARY_VARIABLE, "buble")
        with pytest.raises(ValueError, match="no boundary 'buble'; use bubblewrap or none"):
            run_python(f"open({str(shared_folder / 'ran')!r}, 'w')")
        assert list(shared_folder.iterdir()) == []

    def test_no_bwrap_is_a_clear_error_and_nothing_runs(self, monkeypatch, shared_folder):
        monkeypatch.setattr(bubblewrap.shutil, "which", lambda *_args, **_kwargs: None)
        with pytest.raises(SandboxUnavailable, match="no `bwrap` command"):
            run_python(f"open({str(shared_folder / 'ran')!r}, 'w')", boundary="bubblewrap")
        assert list(shared_folder.iterdir()) == []

    def test_a_bwrap_that_cannot_make_namespaces_is_a_clear_error(self, monkeypatch, tmp_path):
        fake = tmp_path / "bwrap"
        fake.write_text(
            "#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1"
        )
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        with pytest.raises(SandboxUnavailable, match="setting up uid map: Permission denied"):
            run_python("print(1)", boundary="bubblewrap")
