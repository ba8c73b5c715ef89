"""Make recorded errors into exceptions that can be raised again."""

from __future__ import annotations

import builtins
from collections.abc import Iterator

from agentracer.trace import ErrorInfo

__all__ = ["recorded_error"]


def recorded_error(error: ErrorInfo) -> Exception:
    """Return a recorded error as an exception to raise.

    It is an instance of the class of that name, so that the system's own `except` clauses catch it
    as they caught the original, or of one made for it where no such class is loaded.
    """
    builtin = getattr(builtins, error.type, None)
    if isinstance(builtin, type) and issubclass(builtin, Exception):
        return builtin(error.message)
    for loaded in _subclasses(Exception):
        if loaded.__name__ == error.type:
            try:  # past its own __init__, which may want what no record has (a response, a body)
                raised: Exception = loaded.__new__(loaded, error.message)
                Exception.__init__(raised, error.message)
            except Exception:  # noqa: BLE001, S112 - another class may be easier to make
                continue
            return raised
    made: type[Exception] = type(error.type, (RuntimeError,), {"__doc__": "Raised by a replay."})
    return made(error.message)


def _subclasses(of: type[Exception]) -> Iterator[type[Exception]]:
    seen: set[type[Exception]] = set()
    waiting = [of]
    while waiting:
        for subclass in waiting.pop().__subclasses__():
            if subclass not in seen:
                seen.add(subclass)
                waiting.append(subclass)
                yield subclass
