"""The pages' Python runs, and prints what the pages say that it prints.

The blocks of a section run in order, in one namespace; what some sections need beforehand is in
`NEEDS`. A `text` block holds what the Python block before it printed:
`AGENTRACER_WRITE_DOCS=1 pytest tests/test_docs.py` writes it anew.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

import agentracer
from agentracer import failures

DOCS = Path(__file__).parent.parent / "docs"
EXAMPLES = DOCS.parent / "examples"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ELSEWHERE = {
    "adding-a-framework": "test_docs_adding_a_framework.py",
    "pytest": "pytest_plugin/test_page.py",
}


def sections():
    """(page, heading) of every section that has Python in it."""
    for page in sorted(DOCS.glob("*.md")):
        if page.stem in ELSEWHERE:
            continue
        for part in re.split(r"^(?=## )", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
            if any(language == "python" for language, _ in BLOCK.findall(part)):
                yield page.stem, part.splitlines()[0].lstrip("# ")


def team(module, extra):
    """The example itself, for what to import; the sections start its model server."""

    def prepare(stack):
        pytest.importorskip(extra, reason="needs the framework's extra")
        importlib.import_module(module)
        return {}

    return prepare


def failed_run(stack):
    """What docs/replay.md takes for granted: a team, a task, a failed trace, a correction."""
    pytest.importorskip("langchain_openai", reason="needs the extra [langgraph]")
    example = importlib.import_module("langgraph_team")
    server = stack.enter_context(example.ModelServer(example.CarelessModel()))
    agentracer.instrument("langgraph")
    facts = {
        "team": example.build_team(server.base_url),
        "task": {"messages": [("user", example.QUESTION)]},
        "is_right": lambda state: "70" in state["messages"][-1].text,
        "correct": lambda _, step: (
            "PLAN: add 3 and 4, then times 10." if step.agent == "planner" else None
        ),
    }
    with agentracer.record(check=facts["is_right"]) as run:
        facts["team"].invoke(facts["task"])
    return {**facts, "trace": run.trace}


def fallible_run(stack):
    """A failed run of a team whose model errs at random, for docs/proof.md."""
    pytest.importorskip("langgraph", reason="needs the extra [langgraph]")
    teams = importlib.import_module("tests.replay.success_curve.test_langgraph_proof")
    trace, system, _ = teams.spoilt_by("solver", Path.cwd())
    return {"trace": trace, "run_once": system.run, "is_right": system.check}


def good_run(stack):
    """A run that succeeds, for fault injection."""
    pytest.importorskip("libcst", reason="needs the extra [inject]")
    facts = failed_run(stack)
    check = lambda state: "80" in state["messages"][-1].text  # noqa: E731
    with agentracer.record(check=check) as run:
        facts["team"].invoke(facts["task"])
    replay = importlib.import_module("agentracer.replay")
    system = replay.System(run=lambda: facts["team"].invoke(facts["task"]), check=check)
    return {"trace": run.trace, "system": system}


def iterations(stack):
    """What docs/evolution.md takes for granted: a graph, tasks, a check, an oracle."""
    facts = failed_run(stack)
    return {
        "agentracer": agentracer,
        "graph": facts["team"],
        "team": facts["team"],
        "tasks": [importlib.import_module("langgraph_team").QUESTION],
        "is_right": lambda _task, state: facts["is_right"](state),
        "oracle": importlib.import_module("agentracer.replay").FunctionOracle(facts["correct"]),
    }


NEEDS = {
    ("evolution", "Self-evolution: verdicts feed the next run"): iterations,
    ("evolution", "What a verdict becomes"): iterations,
    ("proof", "Proof with nothing but a check"): fallible_run,
    ("quickstart", "LangGraph"): team("langgraph_team", "langchain_openai"),
    ("quickstart", "AutoGen"): team("autogen_team", "autogen_agentchat"),
    ("quickstart", "Your own code"): team("openai_functions", "openai"),
    ("quickstart", "CAMEL and OWL"): team("camel_workforce", "camel"),
    ("replay", "Replay: proof, search, fault injection"): failed_run,
    ("replay", "Fault injection"): good_run,
}

SLOW = {("quickstart", "CAMEL and OWL"): pytest.mark.slow}


@pytest.fixture
def stack(monkeypatch, captured, tmp_path):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    with ExitStack() as stack:
        yield stack
    for registration in list(failures._registrations):  # a page registers for good
        registration.remove()
    for name in ("langgraph_team", "autogen_team", "camel_workforce", "openai_functions"):
        if name not in before:
            sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("page", "section"),
    [pytest.param(*which, marks=SLOW.get(which, ())) for which in sections()],
)
def test_every_python_block_runs_and_prints_what_is_shown(stack, capsys, page, section):
    path = DOCS / f"{page}.md"
    text = path.read_text(encoding="utf-8")
    names = {"__name__": "page", **NEEDS.get((page, section), lambda _: {})(stack)}
    part = next(
        part
        for part in re.split(r"^(?=## )", text, flags=re.MULTILINE)
        if part.splitlines()[0].lstrip("# ") == section
    )
    blocks, printed, fresh = BLOCK.findall(part), "", part
    for number, (language, code) in enumerate(blocks):
        if language == "python":
            capsys.readouterr()
            place = f"docs/{page}.md, {section}, block {number}"
            exec(compile(code, place, "exec"), names)
            printed = capsys.readouterr().out
        elif os.environ.get("AGENTRACER_WRITE_DOCS"):
            fresh = fresh.replace(f"```text\n{code}```", f"```text\n{printed}```", 1)
        else:
            assert printed == code
    if fresh != part:
        path.write_text(text.replace(part, fresh), encoding="utf-8")


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (page.parent / target).exists(), target


def test_pages_that_are_tested_elsewhere_are():
    for page, module in ELSEWHERE.items():
        assert (DOCS / f"{page}.md").exists()
        assert (Path(__file__).parent / module).exists()
