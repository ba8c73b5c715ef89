"""Projects whose tests run agents: of a framework in miniature, which is captured and replayed."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest

import agentracer
import agentracer._pytest.summary

# Before an inner session, which forgets again what it was the first to import.
import agentracer._pytest.verification
import agentracer.attribution.embedded
import agentracer.report.html
import agentracer.report.terminal
from agentracer.frameworks.registry import specs

for _framework in specs().values():
    with suppress(ImportError):  # not installed, so nothing can be forgotten
        import_module(_framework.module)

ROOT = Path(__file__).parents[2]

STRANGERS = ("cacheprovider", "hypothesispytest", "langsmith_plugin")
QUIET = ("-o", "asyncio_default_fixture_loop_scope=function")
QUIET += tuple(option for name in STRANGERS for option in ("-p", f"no:{name}"))

TEAM = """
import pytest
from tests.replay.miniature import Miniature

def team(*words):
    '''One agent for each word: it says that, whatever was said before.'''
    names = ["alice", "bob", "carol"][: len(words)]
    said = dict(zip(names, words, strict=True))
    return Miniature(names, lambda name, lines: said[name])

def run_team(*words):
    return team(*words).run()

def good(lines):
    return "bad" not in lines
"""


@pytest.fixture
def project(pytester, monkeypatch):
    """A project with `team.py`; `project(tests, *options)` runs the tests; gives the result."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.syspath_prepend(str(ROOT))
    pytester.makepyfile(team=TEAM)

    def run(tests, *options, how="inprocess"):
        pytester.makepyfile(test_it="from team import *\n" + tests)
        runner = getattr(pytester, f"runpytest_{how}")
        return runner(*QUIET, *options)

    run.path = pytester.path
    run.pytester = pytester
    yield run
    agentracer.uninstrument()


@pytest.fixture
def store(home):
    """The store that the inner sessions write."""
    return agentracer.Store(home)
