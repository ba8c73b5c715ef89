"""Read the testbed's data files (TOML, beside this module) and check them against a type."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from agentracer.errors import FormatError

__all__ = ["load"]

T = TypeVar("T")


def load(name: str, schema: type[T], package: str = __name__) -> T:
    """Read one data file as a value of `schema`.

    Args:
        name: the file, such as `documents.toml`.
        schema: a dataclass whose fields are the tables of the file; keys that it lacks are errors
            where it sets `extra="forbid"`.
        package: the package that the file is in.

    Raises:
        FormatError: the file is not TOML, or does not fit the schema; the message has the place.
    """
    source = resources.files(package) / name
    try:
        tables: dict[str, Any] = tomllib.loads(source.read_text(encoding="utf-8"))
        return TypeAdapter(schema).validate_python(tables)
    except tomllib.TOMLDecodeError as error:
        raise FormatError(f"not TOML: {error}", source=str(source)) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise FormatError(first["msg"], source=str(source), place=place) from error
