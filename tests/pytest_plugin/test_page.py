"""The tests in docs/pytest.md work as they stand, and report what the page says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("langchain_openai", reason="needs the extra [langgraph]")
pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```\n+^```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
CONFTEST = """
import langgraph_team
import pytest

@pytest.fixture
def server():
    with langgraph_team.ModelServer(langgraph_team.CarelessModel()) as server:
        yield server

@pytest.fixture
def team(server):
    return langgraph_team.build_team(server.base_url)
"""
CAREFUL = """
import langgraph_team

class CarefulModel(langgraph_team.CarelessModel):
    def reply(self, request):
        if "You are the planner" in request.system:
            return langgraph_team.ChatReply("PLAN: add 3 and 4, then times 10.")
        return super().reply(request)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", range(4))
def test_a_block_reports_what_the_page_shows(pytester, monkeypatch, number):
    code, shown = BLOCKS[number]
    shutil.copy(ROOT / "examples" / "langgraph_team.py", pytester.path)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_page=(CAREFUL if "CarefulModel" in code else "") + code)
    monkeypatch.delenv("AGENTRACER_HOME")
    options = ("-p", "no:cacheprovider", "--agentracer", "--agentracer-verify")
    result = pytester.runpytest_subprocess(*options[: 3 if number in (0, 3) else 4])
    result.assert_outcomes(failed=1)
    lines = ["*" if line == "..." else glob(line) for line in shown.splitlines()]
    result.stdout.fnmatch_lines(lines)


def test_every_block_is_tried():
    assert len(BLOCKS) == PAGE.count("```python") == 4


def glob(line):
    """A line of the page as a pattern: rulers may be of any length."""
    return re.sub(r"^([-=])\1+ (.*?) [-=]+$", r"\1* \2 *", line)
