"""One class name means one thing in the whole package."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "agentracer"


def classes(folder):
    """Modules by the names of the classes that they define, nested ones included."""
    found = defaultdict(list)
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(str(path.relative_to(folder)))
    return found


def test_no_two_classes_of_the_package_have_the_same_name():
    repeated = {name: modules for name, modules in classes(SOURCE).items() if len(modules) > 1}
    assert repeated == {}


def test_a_name_that_two_modules_define_is_found(tmp_path):
    (tmp_path / "one.py").write_text("class Run: ...\n")
    (tmp_path / "two.py").write_text("def f():\n    class Run: ...\n")
    assert classes(tmp_path)["Run"] == ["one.py", "two.py"]
