"""examples/pytest_project: real AutoGen, CAMEL and LangGraph teams, some failing on purpose."""

from __future__ import annotations

import importlib.util
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

EXAMPLES = Path(__file__).parents[2] / "examples"
FRAMEWORKS = {
    "test_langgraph_team": "langchain_openai",
    "test_autogen_team": "autogen_agentchat",
    "test_camel_workforce": "camel",
}


@pytest.fixture
def sample(pytester):
    """Run the project in a copy of its folder, as a user would."""
    folder = pytester.path / "examples"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))

    def run(*options):
        arguments = ("-p", "no:cacheprovider", "--rootdir", project, "--junitxml=out.xml", *options)
        return pytester.runpytest_subprocess(*arguments, project)

    project = folder / "pytest_project"
    return run


def properties(path):
    """What JUnit XML says of each test, by its name."""
    return {
        f"{case.get('classname').rpartition('.')[2]}.{case.get('name')}": {
            p.get("name").removeprefix("agentracer."): p.get("value") for p in case.iter("property")
        }
        for case in ElementTree.parse(path).iter("testcase")
    }


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_every_framework_fails_with_a_proved_verdict(sample, home, pytester, workers):
    result = sample("--agentracer-verify", *workers)
    told = properties(pytester.path / "out.xml")
    installed = [name for name, needs in FRAMEWORKS.items() if importlib.util.find_spec(needs)]
    if not installed:
        pytest.skip("needs one of the extras [langgraph], [autogen], [camel]")
    assert result.ret == 1
    for name in installed:
        facts = told[f"{name}.test_the_answer_is_right"]
        assert (facts["agent"], facts["verification"]) == ("planner", "confirmed")
        assert Path(facts["report"]).is_file()
    sections = re.findall(r"^-+ agentracer -+$", result.stdout.str(), re.MULTILINE)
    flaky = "test_langgraph_team" in installed
    assert len(sections) == len(installed) + flaky
    result.stdout.fnmatch_lines([f"planner: {len(installed) + flaky} failed tests"])
    if flaky:
        result.stdout.fnmatch_lines(
            [
                "*test_the_answer_is_right_every_time",
                "  failed in 2 of 4 runs (50 %, *)",
                "  planner, step 0, is named in 2 of 4 runs (50 %, *)",
            ]
        )
        assert told["test_langgraph_team.test_that_has_nothing_to_do_with_agents"] == {}
        assert told["test_langgraph_team.test_the_team_reports_a_number"] == {}


@pytest.mark.slow
def test_without_replay_the_verdicts_are_there_and_say_that_they_are_not_proved(sample, pytester):
    sample()
    told = properties(pytester.path / "out.xml")
    ran = [facts for name, facts in told.items() if name.endswith("test_the_answer_is_right")]
    if not ran:
        pytest.skip("needs one of the extras [langgraph], [autogen], [camel]")
    for facts in ran:
        assert facts["agent"]
        assert "verification" not in facts


@pytest.mark.slow
def test_outcomes_are_those_without_the_plugin(sample, pytester):
    ended = []
    for options in (("--agentracer-verify",), ("-o", "agentracer=false")):
        sample(*options)
        cases = ElementTree.parse(pytester.path / "out.xml").iter("testcase")
        ended.append({c.get("name"): [e.tag for e in c if e.tag != "properties"] for c in cases})
    assert ended[0] == ended[1]
