"""Replace attributes of a framework's classes, all or nothing, and put the same objects back."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from agentracer._guard import guard

__all__ = ["Patches", "post_import", "subclasses_of"]

_ABSENT: Any = object()


class Patches:
    """The patches of one adapter.

    Patches that are made inside `transaction()` are undone together if one of them fails.
    `undo()` puts the very same objects back, last first. Safe for threads.

    Args:
        name: the adapter's, for reports of errors.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.RLock()
        self._undo: list[Callable[[], None]] = []
        self._patched: set[tuple[int, str]] = set()

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute of a class, module or object; a second time for one name is an error.

        Raises:
            ValueError: the attribute is patched already.
        """
        with self._lock:
            if self.is_patched(owner, name):
                raise ValueError(f"{owner!r}.{name} is patched already")
            original = vars(owner).get(name, _ABSENT)
            setattr(owner, name, value)
            self._patched.add((id(owner), name))

            def undo() -> None:
                self._patched.discard((id(owner), name))
                if original is _ABSENT:
                    delattr(owner, name)
                else:
                    setattr(owner, name, original)

            self._undo.append(undo)

    def is_patched(self, owner: Any, name: str) -> bool:
        """Whether an attribute is replaced now."""
        return (id(owner), name) in self._patched

    def wrap(self, owner: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
        """Replace a method that the owner itself defines by `wrapper(method)`.

        Raises:
            KeyError: the owner defines no attribute of that name.
        """
        original = vars(owner)[name]
        self.replace(owner, name, functools.wraps(original)(wrapper(original)))

    def subclasses(self, family: Any, patch: Callable[[type], None]) -> None:
        """Call `patch` for a class and its subclasses: those there are, and those to come."""
        own = vars(family).get("__init_subclass__")

        def init_subclass(cls: Any, /, **kwargs: Any) -> None:
            if own is None:
                super(family, cls).__init_subclass__(**kwargs)
            else:
                own.__get__(None, cls)(**kwargs)
            with guard(f"{self.name}.subclass"), self.transaction():
                patch(cls)

        self.replace(family, "__init_subclass__", classmethod(init_subclass))
        for cls in subclasses_of(family):
            patch(cls)

    def on_import(self, module: str, patch: Callable[[ModuleType], None]) -> None:
        """Call `patch` with a module: now if it is loaded, else once it is imported."""
        if module in sys.modules:
            patch(sys.modules[module])
        else:
            self.undo_with(post_import(module, lambda loaded: self._late(loaded, patch)))

    def on_import_within(self, package: str, patch: Callable[[ModuleType], None]) -> None:
        """Call `patch` with every module of a package: those there are, and those to come."""
        finder = _Finder(f"{package}.", lambda loaded: self._late(loaded, patch))
        sys.meta_path.insert(0, finder)
        self.undo_with(lambda: sys.meta_path.remove(finder))
        for name, module in list(sys.modules.items()):
            if name.startswith(f"{package}.") and isinstance(module, ModuleType):
                patch(module)

    def undo_with(self, undo: Callable[[], None]) -> None:
        """Have `undo()` call a function."""
        with self._lock:
            self._undo.append(undo)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Undo what the block patched if it raises anything."""
        with self._lock:
            first = len(self._undo)
            try:
                yield
            except BaseException:
                self._undo_to(first)
                raise

    def undo(self) -> None:
        """Undo everything, last first; twice is fine."""
        with self._lock:
            self._undo_to(0)

    def _undo_to(self, first: int) -> None:
        while len(self._undo) > first:
            with guard(f"{self.name}.undo"):  # whatever one of them does, the others are undone
                self._undo.pop()()

    def _late(self, module: ModuleType, patch: Callable[[ModuleType], None]) -> None:
        """Patch a module that the program imports: errors are ours, the import goes on."""
        with guard(f"{self.name}.import"), self.transaction():
            patch(module)


def subclasses_of(family: type) -> Iterator[type]:
    """A class and all its subclasses, each once."""
    seen, pending = set[type](), [family]
    while pending:
        cls = pending.pop()
        if cls not in seen:
            seen.add(cls)
            pending += type.__subclasses__(cls)
            yield cls


_waiting: dict[str, list[Callable[[ModuleType], None]]] = {}


def post_import(module: str, action: Callable[[ModuleType], None]) -> Callable[[], None]:
    """Call `action` once a module has been imported.

    Returns:
        Takes the request back; twice is fine.
    """
    import wrapt

    if module not in _waiting:  # wrapt has no way to take a hook back, so one serves for good
        _waiting[module] = []
        wrapt.register_post_import_hook(_imported, module)
    _waiting[module].append(action)

    def cancel() -> None:
        if action in _waiting[module]:
            _waiting[module].remove(action)

    return cancel


def _imported(module: ModuleType) -> None:
    for action in list(_waiting[module.__name__]):
        action(module)


class _Finder(MetaPathFinder):
    """Calls a function with each module of a package once it has been executed."""

    def __init__(self, prefix: str, executed: Callable[[ModuleType], None]) -> None:
        self._prefix, self._executed = prefix, executed

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """The module as Python itself finds it."""
        if not name.startswith(self._prefix):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            with guard("patching.find_spec"):
                execute = functools.partial(self._execute, spec.loader)
                vars(spec.loader)["exec_module"] = execute
        return spec

    def _execute(self, loader: Any, module: ModuleType) -> None:
        vars(loader).pop("exec_module", None)
        loader.exec_module(module)
        self._executed(module)
