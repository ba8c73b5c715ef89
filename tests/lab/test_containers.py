"""Code in a Docker container: the command line, and what comes back through the client."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agentracer.errors import ContainerUnavailable
from agentracer.lab.containers import command
from agentracer.lab.sandbox import IMAGE_VARIABLE, ExecutionLimits, run_python

LIMITS = ExecutionLimits(wall_seconds=5, output_bytes=1_000)


def daemon_answers():
    try:
        said = subprocess.run(
            ["docker", "image", "inspect", "python:3.11-slim"], capture_output=True, check=False
        )
    except FileNotFoundError:
        return False
    return said.returncode == 0


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A `docker` that notes its arguments and runs the program right here."""
    program = tmp_path / "docker"
    said = str(tmp_path / "said")
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, sys, pathlib\n"
        f"pathlib.Path({said!r}).open('a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        "if sys.argv[1] == 'run':\n"
        "    at = sys.argv.index('python')\n"
        f"    os.execv({sys.executable!r}, ['python', *sys.argv[at + 1:]])\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path / "said"


def test_the_container_has_no_network_no_rights_and_no_mounts():
    words = command("python:3.11-slim", "name", ExecutionLimits(memory_bytes=7, processes=3))
    said = " ".join(words)
    for wanted in (
        "--network none", "--read-only", "--cap-drop ALL", "--security-opt no-new-privileges",
        "--user 65534:65534", "--memory 7", "--memory-swap 7", "--pids-limit 3", "--rm",
        "--pull never",
    ):  # fmt: skip
        assert wanted in said
    assert not {"-v", "--volume", "--mount", "--privileged"} & set(words)


def test_a_program_runs_and_its_output_comes_back(stand_in):
    run = run_python("import sys; print(6 * 7); sys.exit(3)", limits=LIMITS, image="some-image")
    assert (run.stdout, run.exit_code, run.timed_out) == ("42\n", 3, False)
    assert "some-image" in stand_in.read_text()


def test_the_environment_variable_asks_for_a_container(stand_in, monkeypatch):
    monkeypatch.setenv(IMAGE_VARIABLE, "its-image")
    assert run_python("print('there')", limits=LIMITS).stdout == "there\n"
    assert "its-image" in stand_in.read_text()


def test_a_long_program_and_endless_output_do_not_block_each_other(stand_in):
    source = "x = '" + "y" * 300_000 + "'\nprint(len(x) * 'z')"
    run = run_python(source, limits=LIMITS, image="i")
    assert run.truncated
    assert len(run.stdout) == LIMITS.output_bytes


def test_the_program_finds_an_empty_stdin(stand_in):
    assert run_python("import sys; print(repr(sys.stdin.read()))", image="i").stdout == "''\n"


def test_a_program_that_does_not_end_is_killed_with_its_container(stand_in, monkeypatch):
    monkeypatch.setattr("agentracer.lab.containers._START_SECONDS", 0.5)
    run = run_python("while True: pass", limits=ExecutionLimits(wall_seconds=0.5), image="i")
    assert run.timed_out
    assert run.stopped_by == "wall"
    assert stand_in.read_text().splitlines()[-1].startswith("kill agentracer-")


def test_a_daemon_that_does_not_kill_leaves_no_client_behind(stand_in, monkeypatch):
    program = stand_in.with_name("docker")
    program.write_text(f"{program.read_text()}else:\n    import time; time.sleep(60)\n")
    monkeypatch.setattr("agentracer.lab.containers._START_SECONDS", 0.5)
    monkeypatch.setattr("agentracer.lab.containers._KILL_SECONDS", 0.5)
    limits = ExecutionLimits(wall_seconds=0.5)
    with pytest.raises(ContainerUnavailable, match="may still run"):
        run_python("import time; time.sleep(60)", limits=limits, image="i")


def test_no_docker_command_is_a_clear_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ContainerUnavailable, match="no `docker` command"):
        run_python("print(1)", image="python:3.11-slim")


@pytest.mark.skipif(not Path("/usr/local/bin/docker").exists(), reason="no docker client here")
def test_a_daemon_that_does_not_answer_is_a_clear_error(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(ContainerUnavailable, match="remedy: start Docker"):
        run_python("print(1)", image="python:3.11-slim")


@pytest.mark.skipif(not daemon_answers(), reason="no Docker daemon with python:3.11-slim here")
def test_in_a_real_container_nothing_can_be_written_outside_the_scratch_directory():
    run = run_python("open('/etc/mark', 'w')", image="python:3.11-slim")
    assert run.exit_code != 0
    assert "Read-only file system" in run.stderr
