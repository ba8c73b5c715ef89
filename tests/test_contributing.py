"""What CONTRIBUTING.md says about the code is true of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "agentracer"


def _rows(heading: str) -> list[str]:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [line for line in section.splitlines() if line.startswith("| ") and "---" not in line][
        1:
    ]


@pytest.mark.parametrize("row", _rows("Where is what"))
def test_every_answer_names_something_that_is_there(row: str) -> None:
    terms = re.findall(r"`([^`]+)`", row.split("|")[2])
    paths = [PACKAGE / term for term in terms if "/" in term]
    assert paths
    assert [str(path) for path in paths if not path.exists()] == []
    sources = "".join(
        file.read_text(encoding="utf-8")
        for path in paths
        for file in ([path] if path.is_file() else path.rglob("*.py"))
    )
    names = [term for term in terms if re.fullmatch(r"\w+", term)]
    assert [name for name in names if name not in sources] == []


def test_the_paths_of_code_that_stays_alike_exist() -> None:
    cells = [row.split("|")[1] for row in _rows("Code that is alike, and stays so")]
    patterns = [term for cell in cells for term in re.findall(r"`([^`]+)`", cell) if "/" in term]
    missing = []
    for pattern in patterns:
        group = re.search(r"\{([^}]*)\}", pattern)
        names = group[1].split(",") if group else [""]
        for name in names:
            path = re.sub(r"\{[^}]*\}", name, pattern)
            if not any((base / path).exists() for base in (PACKAGE, ROOT)):
                missing.append(path)
    assert missing == []
