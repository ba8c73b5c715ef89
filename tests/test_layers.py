"""The package keeps the layers that docs/architecture.md draws, and its modules form no cycle."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.layers import collapsed, cycles, import_graph, upward

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"


def drawn_layers() -> list[list[str]]:
    """The lines of the block under "Layers", each a list of rooms, from the highest down."""
    section = PAGE.read_text(encoding="utf-8").partition("\n## Layers\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"^```text\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return [[room.strip() for room in line.split(",")] for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def graph():
    return import_graph(ROOT / "src", "agentracer")


@pytest.fixture(scope="module")
def graph_with_registries():
    return import_graph(ROOT / "src", "agentracer", with_strings=True)


def test_no_module_imports_itself_by_way_of_others(graph):
    assert cycles(graph) == []


def test_no_package_has_parts_that_import_each_other(graph):
    packages = {name.rpartition(".")[0] for name in graph if "." in name}
    found = {package: cycles(collapsed(graph, package)) for package in sorted(packages)}
    assert {package: groups for package, groups in found.items() if groups} == {}


def test_every_room_is_drawn_in_exactly_one_layer(graph):
    drawn = sorted(room for layer in drawn_layers() for room in layer)
    assert drawn == sorted([*collapsed(graph, "agentracer"), "agentracer"]), f"see {PAGE}"


def test_imports_go_down_the_layers(graph):
    assert upward(graph, "agentracer", drawn_layers()) == []


def test_the_laboratory_is_imported_by_commands_alone(graph_with_registries):
    users = {
        name.split(".")[1]
        for name, imported in graph_with_registries.items()
        if not name.startswith("agentracer.lab")
        and any(f"{other}.".startswith("agentracer.lab.") for other in imported)
    }
    assert users == {"cli"}


# ---------------------------------------------------------------- the checker itself

LAYERS = [["shop"], ["orders", "stock"], ["money"]]


@pytest.fixture
def package(tmp_path):
    """Writes modules of a package `app`, and returns the folder that holds it."""

    def write(**modules):
        for name in ("", "shop", "orders", "stock", "money"):
            folder = tmp_path / "app" / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "__init__.py").write_text("")
        for name, source in modules.items():
            path = tmp_path / "app" / (name.replace("__", "/") + ".py")
            path.write_text(source, encoding="utf-8")
        return tmp_path

    return write


def test_imports_down_are_no_finding(package):
    source = package(shop__till="from app.money import cash", money__cash="import json")
    graph = import_graph(source, "app")
    assert graph["app.shop.till"] == {"app.money.cash"}
    assert upward(graph, "app", LAYERS) == []
    assert cycles(graph) == []


@pytest.mark.parametrize(
    "source",
    [
        "from app.shop import till",
        "import app.shop.till",
        "from app.shop.till import ring",
        "from ..shop import till",
        "def later():\n    from app.shop import till\n    return till",
        "if True:\n    import app.shop.till",
        "from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    import app.shop.till",
        "import importlib\ntill = importlib.import_module('app.shop.till')",
        "import typing\nif typing.TYPE_CHECKING:\n    pass\nelse:\n    import app.shop.till",
    ],
)
def test_an_upward_import_is_found_wherever_it_stands(package, source):
    folder = package(money__cash=source, shop__till="ring = 1")
    assert upward(import_graph(folder, "app"), "app", LAYERS) == ["app.money.cash -> app.shop.till"]


def test_an_import_between_rooms_of_one_layer_is_found(package):
    folder = package(orders__basket="import app.stock.shelf", stock__shelf="")
    assert upward(import_graph(folder, "app"), "app", LAYERS) == [
        "app.orders.basket -> app.stock.shelf"
    ]


def test_a_module_named_in_a_string_counts_where_strings_are_asked_for(package):
    folder = package(money__cash='WHERE = {"till": "app.shop.till:ring"}', shop__till="ring = 1")
    graph = import_graph(folder, "app", with_strings=True)
    assert upward(graph, "app", LAYERS) == ["app.money.cash -> app.shop.till"]
    assert cycles(import_graph(folder, "app")) == []


def test_an_import_for_type_checkers_alone_does_not_count(package):
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from app.shop import till"
    folder = package(money__cash=source, shop__till="")
    assert upward(import_graph(folder, "app"), "app", LAYERS) == []


def test_a_module_that_loads_its_names_lazily_counts_with_all_of_them(package):
    source = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from app.shop import till\n"
        "def __getattr__(name):\n    ..."
    )
    folder = package(money__cash=source, shop__till="")
    assert upward(import_graph(folder, "app"), "app", LAYERS) == ["app.money.cash -> app.shop.till"]


def test_a_docstring_that_names_a_module_is_no_import(package):
    folder = package(money__cash='"""app.shop.till"""', shop__till="")
    assert upward(import_graph(folder, "app", with_strings=True), "app", LAYERS) == []


def test_a_cycle_over_an_import_inside_a_function_is_found(package):
    folder = package(
        money__cash="import app.money.coins",
        money__coins="import app.money.bank",
        money__bank="def later():\n    from app.money import cash\n    return cash",
    )
    assert cycles(import_graph(folder, "app")) == [
        ["app.money.bank", "app.money.cash", "app.money.coins"]
    ]


def test_packages_that_import_each_other_through_different_modules_are_found(package):
    folder = package(
        orders__basket="import app.stock.shelf",
        stock__shelf="",
        stock__ledger="import app.orders.form",
        orders__form="",
    )
    graph = import_graph(folder, "app")
    assert cycles(graph) == []
    assert cycles(collapsed(graph, "app")) == [["orders", "stock"]]
