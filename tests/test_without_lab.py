"""An installed wheel works without `agentracer.lab`; the commands that need it say so."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="the wheel is built with hatchling (extra: dev)")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]

SYSTEM = '''
"""A reader that takes the first number twice, an adder, and what is right instead."""

from agentracer.adapters.functions import act
from agentracer.replay import Override

def read_right(text): return [int(number) for number in text.split("+")]
def read_first(text): return [int(text.split("+")[0])] * 2

slots = {"reader": read_first, "adder": sum}

def run(task): return act("adder", slots["adder"], act("reader", slots["reader"], task))
def check(task, result): return result == sum(read_right(task))

def correct(trace, step):
    reader = trace.steps[step].agent == "reader"
    return Override(step=step, result=read_right(trace.task)) if reader else None
'''

PRODUCT = """
import importlib.util, json, sys
from pathlib import Path
import agentracer, system
from agentracer import evolution
from agentracer.replay import System, find_decisive
from agentracer.report import html
from agentracer.store import Store

assert importlib.util.find_spec("agentracer.lab") is None
store = Store(Path("store"))
agentracer.instrument()
with agentracer.record("3+4", check=lambda result: result == 7, store=store) as recording:
    recording.result = system.run("3+4")
trace = recording.trace
verdict = agentracer.Tracer().attribute(trace)
replayed = System(run=lambda: system.run("3+4"), check=lambda result: result == 7, store=store)
decisive = find_decisive(trace, replayed, system.correct, strategy="sequential").verdict
page = html.render(trace, decisive)
report = evolution.evolve(
    evolution.Team(run=lambda _, task: system.run(task), deterministic=True),
    ["3+4", "5+6", "10+2"],
    system.check,
    evolution.TrueStep(lambda trace: 0),
    rounds=1,
    strategy=evolution.Variant({"reader": {"right": system.read_right}}, system.slots),
)
print(json.dumps({
    "package": agentracer.__file__,
    "trace": trace.id,
    "success": trace.outcome.success,
    "candidates": len(verdict.candidates),
    "decisive": [decisive.step, decisive.agent],
    "page": trace.id in page,
    "evolved": [report.first.hits, report.final.hits],
}))
"""

FAILING_TEST = """
import agentracer, system

def test_adds():
    assert system.check("3+4", system.run("3+4"))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder into which the wheel is installed, without its laboratory."""
    folder = tmp_path_factory.mktemp("installed")
    built, site = folder / "wheel", folder / "site"
    python(["-m", "hatchling", "build", "-t", "wheel", "-d", built], cwd=ROOT)
    (wheel,) = built.glob("*.whl")
    pip = ["-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-compile"]
    python([*pip, "--target", site, wheel], cwd=folder)
    assert (site / "agentracer/lab/testbed/data/coding_tasks.toml").is_file()
    shutil.rmtree(site / "agentracer" / "lab")
    return site


@pytest.fixture
def home(tmp_path):
    (tmp_path / "system.py").write_text(SYSTEM, encoding="utf-8")
    return tmp_path


def python(arguments, *, cwd, site=None, check=True):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AGENTRACER")}
    if site is not None:
        environment["PYTHONPATH"] = f"{site}{os.pathsep}{cwd}"
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=check,
        timeout=300,
    )


def command(*arguments, cwd, site):
    """Run the `agentracer` script of the installation."""
    return python([site / "bin" / "agentracer", *arguments], cwd=cwd, site=site, check=False)


def test_the_product_works_without_the_laboratory(site, home):
    result = json.loads(python(["-c", PRODUCT], cwd=home, site=site).stdout)
    assert Path(result["package"]).is_relative_to(site)
    assert result["success"] is False
    assert result["candidates"] >= 1
    assert result["decisive"] == [0, "reader"]
    assert result["page"] is True
    assert result["evolved"] == [0, 3]
    reported = command(
        "report", home / "store" / "traces" / f"{result['trace']}.jsonl", cwd=home, site=site
    )
    assert reported.returncode == 0, reported.stderr


def test_the_pytest_plugin_works_without_the_laboratory(site, home):
    (home / "test_adder.py").write_text(FAILING_TEST, encoding="utf-8")
    run = python(
        ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--agentracer", "test_adder.py"],
        cwd=home,
        site=site,
        check=False,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert "Shortlist" in run.stdout
    assert "reader" in run.stdout
    (page,) = (home / ".agentracer" / "reports").glob("*.html")
    assert page.stat().st_size > 10_000


@pytest.mark.parametrize(
    "arguments",
    [
        ("demo",),
        ("validate",),
        ("collect", "--n", "1", "--out", "rows"),
        ("bench", "whowhen", "."),
        ("bench", "tracertraj", "rows.jsonl"),
        ("bench", "injection", "."),
        ("bench", "cost", "."),
    ],
)
def test_a_command_of_the_laboratory_says_what_is_missing(site, home, arguments):
    run = command(*arguments, cwd=home, site=site)
    assert run.returncode == 2
    assert run.stdout == ""
    assert f"`agentracer {arguments[0]}` needs agentracer.lab" in run.stderr
    assert "pip install --force-reinstall agentracer-mas" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (home / "rows").exists()


def test_help_and_doctor_work_without_the_laboratory(site, home):
    assert "collect" in command("--help", cwd=home, site=site).stdout
    assert command("doctor", cwd=home, site=site).returncode == 0
