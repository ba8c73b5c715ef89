"""Time, random numbers and UUIDs as a run drew them, so that a replay of its prefix draws the same.

Opt-in, for each run: `agentracer.record(exact=True)`. Covered are `time.time`, the functions of the
module `random`, `uuid.uuid1` and `uuid.uuid4`, called as attributes of their modules. Not covered
are `secrets`, `os.urandom`, monotonic clocks, `datetime.now` (a method of a built-in type cannot be
replaced without changing what programs pickle), names that a module bound by `from time import
time`, which `unreached_names` lists, and calls made inside the event loop, TLS or HTTP clients.

Draws are matched by the function that drew them, so that what a model's client draws, and does not
draw where the call is answered from the record, leaves the others where they are.
"""

from __future__ import annotations

import random
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

__all__ = ["DrawRecorder", "DrawReplay", "Draws", "exact_draws", "unreached_names"]

_MOST_DRAWS: Final = 10_000

_PASS_THROUGH: Final = frozenset({"random", "uuid", "email", "tempfile", __name__})
"""Modules that draw for their caller, who decides whether a draw counts."""

_NOT_COVERED: Final = frozenset({
    *("agentracer", "aiohttp", "anthropic", "anyio", "asyncio", "concurrent", "h11", "h2", "http"),
    *("httpcore", "httpx", "langsmith", "logging", "openai", "requests", "selectors", "socket"),
    *("ssl", "threading", "urllib", "urllib3"),
})  # fmt: skip


class Draws(Protocol):
    """What the draws of one run go through."""

    def draw(self, site: str, real: Callable[[], Any]) -> Any:
        """Return a value: one that was really drawn, or one of a record.

        Args:
            site: what is drawn, and by which function.
            real: draws it.
        """


class DrawRecorder:
    """Notes what a run draws. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, list[Any]] = {}
        self._count = 0

    def draw(self, site: str, real: Callable[[], Any]) -> Any:
        """Draw, and note the value."""
        value = real()
        with self._lock:
            self._count += 1
            if self._count <= _MOST_DRAWS:
                self._values.setdefault(site, []).append(value)
        return value

    def to_json(self) -> dict[str, Any]:
        """Return all draws by site, how many were too many to keep, and which names are missed."""
        with self._lock:
            return {
                "draws": {site: list(values) for site, values in self._values.items()},
                "dropped": max(0, self._count - _MOST_DRAWS),
                "not_covered": unreached_names(),
            }


class DrawReplay:
    """Gives back what a run drew, as long as its prefix is replayed. Safe for threads.

    Args:
        recorded: what `DrawRecorder.to_json` returned.
        in_prefix: whether the prefix is still being replayed.

    Attributes:
        given: how many values were given back.
        missing: how many draws of the prefix have no value in the record.
    """

    def __init__(self, recorded: Mapping[str, Any], in_prefix: Callable[[], bool]) -> None:
        self._lock = threading.Lock()
        self._values = {site: deque(values) for site, values in recorded["draws"].items()}
        self._in_prefix = in_prefix
        self.given = self.missing = 0

    def draw(self, site: str, real: Callable[[], Any]) -> Any:
        """Return the recorded value, or a real one behind the prefix."""
        if self._in_prefix():
            with self._lock:
                values = self._values.get(site)
                if values:
                    self.given += 1
                    return values.popleft()
                self.missing += 1
        return real()


# -- where programs draw


@dataclass(slots=True)
class _Installation:
    """What is replaced while any run needs it."""

    current: Callable[[], Draws | None] = lambda: None
    users: int = 0
    originals: dict[tuple[Any, str], Any] = field(default_factory=dict)


_lock = threading.Lock()
_installed = _Installation()


@contextmanager
def exact_draws(current: Callable[[], Draws | None]) -> Iterator[None]:
    """Let draws go through those of the current run, while any block of this kind is open.

    Args:
        current: the draws of the run that the calling code belongs to, or None.
    """
    with _lock:
        _installed.users += 1
        if _installed.users == 1:
            _installed.current = current
            _install()
    try:
        yield
    finally:
        with _lock:
            _installed.users -= 1
            if _installed.users == 0:
                _uninstall()


def unreached_names() -> list[str]:
    """List the names by which modules reach a covered function directly, as `module.name`."""
    reals = {
        id(value): name for (_, name), value in _installed.originals.items() if callable(value)
    }
    found = []
    for module_name, module in sorted(sys.modules.items()):
        if module_name.partition(".")[0] in sys.stdlib_module_names | _NOT_COVERED:
            continue
        names = list(vars(module).items()) if module is not None else ()
        found += [f"{module_name}.{name}" for name, value in names if id(value) in reals]
    return found


def _install() -> None:
    _replace(time, "time", _function("time.time", time.time))
    _replace(uuid, "uuid1", _uuid_function("uuid.uuid1", uuid.uuid1))
    _replace(uuid, "uuid4", _uuid_function("uuid.uuid4", uuid.uuid4))
    stand_in = _SharedRandom(random.random, random.getrandbits)
    for name in random.__all__:
        is_shared = getattr(getattr(random, name), "__self__", None) is not None
        if is_shared and name not in ("seed", "getstate", "setstate"):
            _replace(random, name, getattr(stand_in, name))


def _uninstall() -> None:
    for (module, name), original in _installed.originals.items():
        setattr(module, name, original)
    _installed.originals.clear()


def _replace(module: Any, name: str, function: Any) -> None:
    _installed.originals[module, name] = getattr(module, name)
    setattr(module, name, function)


def _function(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def drawn(*args: Any, **kwargs: Any) -> Any:
        draws = _installed.current()
        site = _site(name) if draws is not None else None
        if draws is None or site is None:
            return real(*args, **kwargs)
        return draws.draw(site, lambda: real(*args, **kwargs))

    drawn.__name__ = drawn.__qualname__ = name.rpartition(".")[2]
    return drawn


def _uuid_function(name: str, real: Callable[..., uuid.UUID]) -> Callable[..., uuid.UUID]:
    as_text = _function(name, lambda *args, **kwargs: str(real(*args, **kwargs)))

    def drawn(*args: Any, **kwargs: Any) -> uuid.UUID:
        return uuid.UUID(as_text(*args, **kwargs))

    drawn.__name__ = drawn.__qualname__ = name.rpartition(".")[2]
    return drawn


class _SharedRandom(random.Random):
    """The functions of the module `random`, on its own generator, each bit of which is a draw."""

    def __init__(self, real_random: Callable[[], float], real_bits: Callable[[int], int]) -> None:
        self._random = _function("random.random", real_random)
        self._bits = _function("random.getrandbits", real_bits)
        super().__init__(0)

    def random(self) -> float:
        """Draw from the shared generator."""
        return float(self._random())

    def getrandbits(self, k: int, /) -> int:
        """Draw from the shared generator."""
        return int(self._bits(k))


def _site(name: str) -> str | None:
    """What is drawn by which function; None where it is drawn inside what is not covered."""
    frame = sys._getframe(2)
    while True:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _PASS_THROUGH and module != __name__:
            break
        if frame.f_back is None:
            return None
        frame = frame.f_back
    if module.partition(".")[0] in _NOT_COVERED:
        return None
    return f"{name} in {module}.{frame.f_code.co_qualname}"
