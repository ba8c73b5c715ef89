"""Writes the table of docs/frameworks.md from the results of the contract tests.

The contract tests have the same names for every framework, and constructs as their parameters:
`pytest tests/adapters --write-frameworks docs/frameworks.md`. The sections of the frameworks whose
tests ran are written anew; the others stay as they are.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

pytest.register_assert_rewrite(
    *(f"tests.adapters.{name}" for name in ("contract", "client_contract", "langgraph_contract"))
)

CONTRACT = {
    "test_the_uncorrected_team_fails_and_every_read_is_what_the_server_saw": "captured",
    "test_replaying_without_an_override_calls_nothing_and_ends_the_same": "replayed",
    "test_correcting_the_plan_flips_the_answer_without_repeating_the_prefix": "text, first step",
    "test_correcting_the_solvers_text_leaves_only_the_rest_to_run": "text, later step",
    "test_correcting_tool_arguments_really_runs_the_tool_with_them": "tool arguments",
    "test_correcting_a_tool_result_does_not_run_the_tool": "tool result",
    "test_the_planner_is_proved_to_have_lost_the_run_without_an_oracle": "proved without an oracle",
    "test_advice_reaches_one_agent_once_and_is_taken_back_exactly": "advised",
}
TITLES = {
    "autogen": "AutoGen 0.7.5",
    "camel": "CAMEL 0.2.90 and OWL",
    "deepagents": "deepagents 0.7.32",
    "langgraph": "LangGraph 1.2",
    "anthropic": "The anthropic client 2.14",
    "openai": "The openai client 3.57",
}
BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"
MARKS = {"passed": "yes", "failed": "**fails**", "skipped": "no"}

results: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
others: dict[str, dict[str, str]] = defaultdict(dict)


def pytest_addoption(parser):
    parser.addoption("--write-frameworks", metavar="FILE", type=Path)


def pytest_runtest_logreport(report):
    match = re.search(r"test_(\w+?)_(?:capture|replay)\.py::(\w+)(?:\[(.+)\])?$", report.nodeid)
    decided = report.when == "call" or (report.when == "setup" and report.outcome != "passed")
    if match is None or not decided:
        return
    framework, test, construct = match.groups()
    if test in CONTRACT and construct:
        results[framework][construct][CONTRACT[test]] = report.outcome
    elif others[framework].get(test) != "failed":
        others[framework][test] = report.outcome


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    path = session.config.getoption("--write-frameworks", default=None)
    if path is None:
        return
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    existing, _, after = rest.partition(END)
    sections = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", existing, re.MULTILINE))
    sections.update({TITLES[name]: section(name) for name in results})
    written = "".join(f"\n## {title}\n{sections[title].rstrip()}\n" for title in sorted(sections))
    path.write_text(f"{before}{BEGIN}\n{written}{END}{after}", encoding="utf-8")


def section(framework: str) -> str:
    columns = list(CONTRACT.values())
    rows = [f"| construct | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for construct, outcomes in results[framework].items():
        cells = [MARKS.get(outcomes.get(column, ""), "not tested") for column in columns]
        rows.append(f"| {construct} | {' | '.join(cells)} |")
    rows.append("\nAlso tested:\n")
    for test, outcome in sorted(others[framework].items()):
        mark = "" if outcome == "passed" else f" ({MARKS.get(outcome, outcome)})"
        rows.append(f"- {test.removeprefix('test_').replace('_', ' ')}{mark}")
    return "\n" + "\n".join(rows) + "\n"
