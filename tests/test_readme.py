"""The README's Python runs, and prints what the README says that it prints."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("langchain_openai", reason="needs the extra [demo]")

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|text)\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def example(monkeypatch, captured):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    import langgraph_team

    with langgraph_team.ModelServer(langgraph_team.CarelessModel(error_rate=0.2)) as server:
        yield {
            "team": langgraph_team.build_team(server.base_url),
            "QUESTION": langgraph_team.QUESTION,
        }
    sys.modules.pop("langgraph_team")


def test_every_python_block_runs_and_prints_what_is_shown(example, capsys):
    for position, (language, code) in enumerate(BLOCKS):
        if language != "python":
            continue
        exec(compile(code, f"README block {position}", "exec"), example)
        printed = capsys.readouterr().out
        following = BLOCKS[position + 1 : position + 2]
        if following and following[0][0] == "text":
            assert printed == following[0][1]


def test_it_never_tells_anybody_to_install_the_namesake():
    assert not re.search(r"pip install ['\"]?agentracer(?!-mas)", README)


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
