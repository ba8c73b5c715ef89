"""Import the laboratory for the commands that need it, or say that it is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agentracer.errors import MissingLaboratory

__all__ = ["laboratory"]


@contextmanager
def laboratory(needed_for: str) -> Iterator[None]:
    """Import `agentracer.lab` inside this block; where it is absent, the error says who needs it.

    Args:
        needed_for: what needs the laboratory, such as "`agentracer bench`".

    Raises:
        MissingLaboratory: `agentracer.lab`, or a part of it, is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if not f"{error.name}.".startswith("agentracer.lab."):
            raise
        raise MissingLaboratory(needed_for) from error
