"""Read which module of a package imports which other, from the source alone.

Every import counts, those inside functions too, except those under `if TYPE_CHECKING:`. A module
whose `__getattr__` loads names when they are first used counts with what it declares under
`TYPE_CHECKING`, since that is what it loads.

`import_module("...")` counts too. A registry that names modules in a table of strings, and
loads them later, imports nothing; its strings count where that is asked for.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

Graph = dict[str, set[str]]

_NAMED_IN_STRING = re.compile(r"[\w.]+(?=:\w+$|$)")


def import_graph(source: Path, package: str, *, with_strings: bool = False) -> Graph:
    """By module, the modules of the same package that it imports.

    Args:
        source: the folder that holds the package.
        package: its name.
        with_strings: whether a string that names a module counts.
    """
    files = {}
    for path in sorted((source / package).rglob("*.py")):
        name = ".".join(path.relative_to(source).with_suffix("").parts)
        files[name.removesuffix(".__init__")] = path
    return {
        name: _imports(name, path, files, with_strings=with_strings) - {name}
        for name, path in files.items()
    }


def _imports(name: str, path: Path, files: Mapping[str, Path], *, with_strings: bool) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parent = name if path.name == "__init__.py" else name.rpartition(".")[0]
    lazy = any(isinstance(n, ast.FunctionDef) and n.name == "__getattr__" for n in tree.body)
    found: set[str] = set()
    for node in _nodes(tree, with_type_checking=lazy):
        if isinstance(node, ast.Constant) and not with_strings:
            continue
        for imported in _named(node, parent):
            if imported in files:
                found.add(imported)
            elif isinstance(node, ast.ImportFrom) and imported.rpartition(".")[0] in files:
                found.add(imported.rpartition(".")[0])
    return found


def _nodes(node: ast.AST, *, with_type_checking: bool) -> Iterator[ast.AST]:
    """All nodes below one, without docstrings and (if so asked) blocks for type checkers."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        if isinstance(child, ast.If) and _is_type_checking(child.test):
            blocks = [*child.orelse, *(child.body if with_type_checking else ())]
            for block in blocks:
                yield from _nodes(block, with_type_checking=with_type_checking)
            continue
        yield from _nodes(child, with_type_checking=with_type_checking)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def _named(node: ast.AST, parent: str) -> Iterator[str]:
    """The names that a node imports: `a.b` of `import a.b`, `a.b.c` of `from a.b import c`."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = parent.split(".")
        base = above[: len(above) - node.level + 1] if node.level else []
        module = ".".join([*base, *([node.module] if node.module else [])])
        yield from (f"{module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        yield from (a.value for a in node.args if isinstance(a, ast.Constant))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        match = _NAMED_IN_STRING.match(node.value)
        if match is not None and "." in match[0]:
            yield match[0]


def cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of nodes that can reach each other, each sorted."""
    reach = {node: _reachable(node, graph) for node in graph}
    groups = {
        frozenset(other for other in reach[node] if node in reach.get(other, ()))
        for node in graph
        if node in reach[node]
    }
    return sorted(sorted(group) for group in groups)


def _reachable(start: str, graph: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting.extend(graph.get(node, ()))
    return found


def collapsed(graph: Mapping[str, set[str]], package: str) -> Graph:
    """The graph of a package's direct children; its own `__init__` is left out."""
    depth = package.count(".") + 1
    inside = f"{package}."

    def child(name: str) -> str | None:
        return name.split(".")[depth] if name.startswith(inside) else None

    found: Graph = {}
    for name, imported in graph.items():
        one = child(name)
        if one is not None:
            others = {child(other) for other in imported}
            found.setdefault(one, set()).update(o for o in others if o not in (None, one))
    return found


def upward(graph: Mapping[str, set[str]], package: str, layers: list[list[str]]) -> list[str]:
    """The imports that do not go down, as `importer -> imported`.

    Args:
        graph: of modules.
        package: whose direct children the layers name; its `__init__` goes by the package's name.
        layers: from the highest to the lowest.
    """
    level = {room: number for number, layer in enumerate(layers) for room in layer}

    def room(name: str) -> str:
        return name.split(".")[1] if "." in name else package

    wrong = []
    for name, imported in graph.items():
        for other in imported:
            one, two = room(name), room(other)
            if one != two and not level[one] < level[two]:
                wrong.append(f"{name} -> {other}")
    return sorted(wrong)
