"""Code in the sandbox may do what it likes: the caller gets a result, and nothing stays behind."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from agentracer.lab import sandbox
from agentracer.lab.sandbox import ExecutionLimits, run_python

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="processes are counted in /proc")
MIB = 1024**2
WORKER = "/main.py\0"  # how the command line of a worker ends; its launcher's goes on


def commands_with(mark):
    """The ids of the processes that have a text in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def gone(mark, within=3.0):
    deadline = time.monotonic() + within
    while commands_with(mark):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


# ---------------------------------------------------------------- ordinary programs


def test_output_and_exit_code_come_back():
    run = run_python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (run.exit_code, run.stdout, run.stderr) == (3, "out\n", "err\n")
    assert (run.timed_out, run.truncated, run.stopped_by) == (False, False, None)
    assert 0 < run.seconds < 10


def test_a_traceback_is_a_result():
    run = run_python("1 / 0")
    assert run.exit_code == 1
    assert "ZeroDivisionError" in run.stderr


@pytest.mark.parametrize("source", ["def", "\0", "print('\ud800')", "x " * 9999, "(" * 5000])
def test_text_that_is_no_program_is_a_result(source):
    run = run_python(source)
    assert run.exit_code == 1
    assert "Error" in run.stderr


def test_output_that_is_no_text_is_replaced():
    assert run_python("import os; os.write(1, b'a\\xff')").stdout == "a\ufffd"


def test_a_crash_of_the_interpreter_is_a_result():
    run = run_python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert run.exit_code == -signal.SIGSEGV
    assert run.stopped_by is None


def test_the_environment_of_the_caller_is_not_passed_on(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    run = run_python("import os, sys; print(sorted(os.environ), sys.path)")
    assert "OPENAI" not in run.stdout
    assert "/somewhere" not in run.stdout
    assert "['HOME', 'LANG', 'PATH', 'TMPDIR']" in run.stdout


def test_stdin_is_empty():
    assert run_python("import sys; print(repr(sys.stdin.read()))").stdout == "''\n"


def test_no_file_of_the_caller_is_open():
    with tempfile.TemporaryFile() as secret:
        os.set_inheritable(secret.fileno(), True)
        run = run_python("import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:5])")
    assert run.stdout == "[0, 1, 2, 3]\n"  # 3 is the listing itself


def test_the_working_directory_is_empty_writable_and_removed():
    source = "import os; print(os.listdir()); open('a', 'w').close(); print(os.getcwd())"
    listed, folder = run_python(source).stdout.splitlines()
    assert listed == "[]"
    assert not Path(folder).parent.exists()


def test_a_directory_that_resists_removal_is_no_error():
    assert run_python("import os; os.mkdir('d'); os.chmod('d', 0); os.chmod('.', 0)").exit_code == 0


# ---------------------------------------------------------------- limits


def test_an_endless_loop_ends_at_its_cpu_limit():
    run = run_python("while True: pass", limits=ExecutionLimits(cpu_seconds=1))
    assert (run.timed_out, run.stopped_by) == (True, "cpu")
    assert run.seconds < 5


def test_a_loop_that_ignores_the_warning_is_killed():
    source = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    run = run_python(source, limits=ExecutionLimits(cpu_seconds=1))
    assert (run.exit_code, run.stopped_by) == (-signal.SIGKILL, "cpu")


def test_a_sleeper_ends_at_its_wall_limit():
    run = run_python("import time\ntime.sleep(60)", limits=ExecutionLimits(wall_seconds=0.5))
    assert (run.exit_code, run.timed_out, run.stopped_by) == (-signal.SIGKILL, True, "wall")
    assert run.seconds < 3


def test_what_was_said_before_a_timeout_is_kept():
    source = "import time\nprint('so far', flush=True)\ntime.sleep(60)"
    assert run_python(source, limits=ExecutionLimits(wall_seconds=0.5)).stdout == "so far\n"


@LINUX
def test_an_allocation_of_10_gigabytes_fails():
    run = run_python("x = bytearray(10 * 2**30)")
    assert run.exit_code == 1
    assert "MemoryError" in run.stderr


def test_a_gigabyte_of_output_is_cut():
    source = "import sys\nfor _ in range(1024): sys.stdout.write('x' * 2**20)"
    run = run_python(source, limits=ExecutionLimits(output_bytes=1000, wall_seconds=30))
    assert (run.stdout, run.truncated) == ("x" * 1000, True)


def test_endless_output_is_cut_and_ended():
    source = "import os\nwhile True: os.write(2, b'x' * 65536)"
    run = run_python(source, limits=ExecutionLimits(output_bytes=1000, wall_seconds=1))
    assert (run.stderr, run.truncated, run.timed_out) == ("x" * 1000, True, True)


def test_output_that_fits_exactly_is_not_truncated():
    run = run_python("print('x' * 999)", limits=ExecutionLimits(output_bytes=1000))
    assert (len(run.stdout), run.truncated) == (1000, False)


def test_a_huge_file_cannot_be_written():
    source = """
import os
try:
    with open("big", "wb") as file:
        while True:
            file.write(bytes(2**20))
except OSError:
    print(os.path.getsize("big"))
"""
    run = run_python(source, limits=ExecutionLimits(file_bytes=4 * MIB))
    assert int(run.stdout) <= 4 * MIB


# ---------------------------------------------------------------- processes

# Each process of a bomb stops by itself soon, should the sandbox fail to stop it: a test must not
# take the machine with it. Refused forks do not end a bomb.
BOMB = """
import os, time
end = time.monotonic() + 2
def fork():
    try:
        return os.fork()
    except OSError:
        open("refused", "w").close()
        return -1
"""
BOMBS = {
    "doubling": "while time.monotonic() < end: fork()",
    "each in a session of its own": """
while time.monotonic() < end:
    if fork() == 0: os.setsid()
""",
    "parents die at once": """
while time.monotonic() < end:
    if fork() > 0: os._exit(0)
""",
    "sleeping children": """
while time.monotonic() < end:
    if fork() == 0: time.sleep(2); os._exit(0)
""",
}


@LINUX
@pytest.mark.timing
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_fork_bomb_is_contained(bomb):
    counts = []
    over = threading.Event()

    def count():
        while not over.wait(0.02):
            counts.append(len(commands_with(WORKER)))

    counter = threading.Thread(target=count)
    counter.start()
    run = run_python(BOMB + bomb, limits=ExecutionLimits(wall_seconds=1, processes=16))
    over.set()
    counter.join()
    assert run.seconds < 6
    assert max(counts, default=0) <= 16
    assert gone(WORKER, within=0)


@LINUX
def test_one_process_more_than_allowed_is_refused():
    source = "import os, time\nfor n in range(9):\n  if os.fork() == 0: time.sleep(5); os._exit(0)"
    run = run_python(source + "\n", limits=ExecutionLimits(processes=4))
    assert "BlockingIOError" in run.stderr
    assert run.exit_code == 1


@LINUX
def test_too_many_threads_are_refused():
    source = """
import threading, time
for _ in range(99):
    threading.Thread(target=time.sleep, args=(1,), daemon=True).start()
"""
    run = run_python(source, limits=ExecutionLimits(processes=16))
    assert "can't start new thread" in run.stderr


@LINUX
def test_a_few_children_are_allowed():
    source = """
import subprocess, sys
for _ in range(3):
    print(subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True).stdout)
"""
    run = run_python(source)
    assert run.exit_code == 0
    assert run.stdout.count("1") == 3


@LINUX
@pytest.mark.parametrize("session", [False, True], ids=["same session", "own session"])
def test_a_child_left_behind_is_ended_and_not_waited_for(session):
    mark = f"left-behind-{os.getpid()}-{session}"
    source = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "{mark}"],
                 start_new_session={session})
print("done")
"""
    run = run_python(source)
    assert (run.exit_code, run.stdout) == (0, "done\n")
    assert run.seconds < 5
    assert gone(mark)


def run_and_signal_the_launcher(signal_number, limits):
    """Run a sleeper, and send a signal to its launcher as soon as it sleeps."""

    def interfere():
        while not commands_with(WORKER):
            time.sleep(0.01)
        mine = Path(f"/proc/{os.getpid()}/task").glob("*/children")
        children = {int(pid) for file in mine for pid in file.read_text().split()}
        (launcher,) = children & set(commands_with("agentracer/lab/sandbox_launcher.py\0"))
        os.kill(launcher, signal_number)

    helper = threading.Thread(target=interfere)
    helper.start()
    run = run_python("import time\ntime.sleep(60)", limits=limits)
    helper.join()
    return run


@LINUX
def test_code_dies_with_its_launcher():
    run = run_and_signal_the_launcher(signal.SIGKILL, ExecutionLimits())
    assert (run.exit_code, run.stopped_by) == (-signal.SIGKILL, "launcher")
    assert run.seconds < 5
    assert gone(WORKER)


@LINUX
def test_a_stopped_launcher_does_not_hold_the_caller_for_ever(monkeypatch):
    monkeypatch.setattr(sandbox, "_GRACE_SECONDS", 0.5)
    run = run_and_signal_the_launcher(signal.SIGSTOP, ExecutionLimits(wall_seconds=0.5))
    assert run.stopped_by == "launcher"
    assert run.seconds < 5
    assert gone(WORKER)


@LINUX
@pytest.mark.skipif(os.geteuid() != 0, reason="only root's code changes its user")
def test_code_does_not_run_as_root(tmp_path):
    source = f"""
import os
print(0 in os.getresuid() + os.getresgid(), os.getgroups())
for action in (
    lambda: os.kill(os.getppid(), 9),
    lambda: open("/proc/%d/environ" % os.getppid()).read(),
    lambda: open({str(tmp_path / "new")!r}, "w"),
    lambda: os.setuid(0),
):
    try:
        action()
    except PermissionError:
        print("denied")
"""
    assert run_python(source).stdout == "False []\n" + "denied\n" * 4


def test_many_threads_may_run_code_at_once():
    results = {}

    def work(number):
        results[number] = run_python(f"print({number})").stdout

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: f"{number}\n" for number in range(12)}


@LINUX
def test_the_caller_keeps_neither_open_files_nor_zombies():
    def held():
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
        return children, len(list(Path("/proc/self/fd").iterdir()))

    run_python("pass")
    before = held()
    for _ in range(3):
        run_python("import os; os.fork()")
    assert held() == before


@LINUX
def test_a_killed_caller_leaves_no_process_for_long():
    call = (
        "from agentracer.lab.sandbox import ExecutionLimits, run_python\n"
        "run_python('import time; time.sleep(60)', limits=ExecutionLimits(wall_seconds=2))"
    )
    caller = subprocess.Popen([sys.executable, "-c", call])
    deadline = time.monotonic() + 10
    while not commands_with(WORKER) and time.monotonic() < deadline:
        time.sleep(0.02)
    caller.kill()
    caller.wait()
    # A killed caller cannot clean up; the launcher ends the run at its wall limit by itself.
    assert gone(WORKER, within=6)
