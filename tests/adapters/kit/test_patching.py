"""Patches are made all or nothing, and undone to the identical objects."""

from __future__ import annotations

import importlib
import sys
from collections import Counter

import pytest

from agentracer import _guard
from agentracer._guard import swallowed
from agentracer.adapters.kit.patching import Patches


class Base:
    def greet(self):
        return "base"


class Child(Base):
    def greet(self):
        return f"child of {super().greet()}"


@pytest.fixture
def patches(monkeypatch):
    for name, value in (("_counts", Counter()), ("_first", {}), ("_reported", 0)):
        monkeypatch.setattr(_guard, name, value)  # errors that are meant here are not reported
    made = Patches("toy")
    yield made
    made.undo()


def wrap_both(patches, owner, *names):
    for name in names:
        patches.wrap(owner, name, louder)


def louder(original):
    return lambda self: original(self) + "!"


def test_undo_puts_the_very_same_objects_back(patches):
    before = dict(vars(Base))
    patches.wrap(Base, "greet", louder)
    patches.replace(Base, "added", 1)
    assert (Base().greet(), Base.added) == ("base!", 1)
    patches.undo()
    patches.undo()
    assert dict(vars(Base)) == before
    assert all(vars(Base)[name] is value for name, value in before.items())


def test_a_transaction_that_fails_undoes_its_own_patches_only(patches):
    patches.wrap(Base, "greet", louder)
    with pytest.raises(KeyError), patches.transaction():
        wrap_both(patches, Child, "greet", "no_such_method")
    assert Child().greet() == "child of base!"


def test_an_attribute_is_patched_once(patches):
    patches.wrap(Base, "greet", louder)
    with pytest.raises(ValueError, match="patched already"):
        patches.wrap(Base, "greet", louder)
    assert patches.is_patched(Base, "greet")


def test_subclasses_are_patched_when_they_are_defined(patches):
    seen = []
    patches.subclasses(Base, seen.append)
    later = type("Later", (Child,), {})
    assert seen == [Base, Child, later]
    patches.undo()
    type("AfterUndo", (Child,), {})
    assert seen == [Base, Child, later]
    assert "__init_subclass__" not in vars(Base)


def test_what_a_family_does_with_its_subclasses_is_still_done(patches):
    registered, seen = [], []

    class Family:
        def __init_subclass__(cls, /, tag=None, **kwargs):
            super().__init_subclass__(**kwargs)
            registered.append((cls.__name__, tag))

    patches.subclasses(Family, lambda cls: seen.append(cls.__name__))

    class Member(Family, tag="x"):
        pass

    assert (registered, seen) == ([("Member", "x")], ["Family", "Member"])


@pytest.mark.usefixtures("internal_errors")
def test_a_subclass_that_cannot_be_patched_is_defined_all_the_same(patches):
    def broken(cls):
        if cls.__name__ == "Unlucky":
            raise RuntimeError("ours")

    patches.subclasses(Base, broken)
    assert type("Unlucky", (Base,), {})().greet() == "base"
    assert swallowed() == {"toy.subclass": 1}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An importable package `latecomer` with one module."""
    folder = tmp_path / "latecomer"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "part.py").write_text("class Thing:\n    def run(self):\n        return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "latecomer"]:
        del sys.modules[name]


@pytest.mark.parametrize("scope", ["module", "package"])
@pytest.mark.parametrize("order", ["before", "after"])
def test_modules_are_patched_before_and_after_they_are_imported(package, patches, scope, order):
    seen = []

    def hook():
        if scope == "module":
            patches.on_import("latecomer.part", lambda module: seen.append(module.Thing))
        else:
            patches.on_import_within("latecomer", lambda module: seen.append(module.Thing))

    if order == "before":
        hook()
    thing = importlib.import_module("latecomer.part").Thing
    if order == "after":
        hook()
    assert seen == [thing]


def test_after_undo_an_import_patches_nothing(package, patches):
    seen = []
    patches.on_import("latecomer.part", seen.append)
    patches.on_import_within("latecomer", seen.append)
    patches.undo()
    importlib.import_module("latecomer.part")
    assert seen == []


def test_an_import_goes_on_where_patching_fails_and_is_rolled_back(package, patches):
    def half(module):
        patches.replace(module.Thing, "run", None)
        raise RuntimeError("ours")

    patches.on_import("latecomer.part", half)
    assert importlib.import_module("latecomer.part").Thing().run() == 1
