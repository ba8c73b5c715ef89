"""Parse the argument of a model spec: a path or model, and settings after a `?`."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from urllib.parse import parse_qsl

from agentracer.errors import MissingExtra, UnknownModel

__all__ = ["answer_format", "positive_int", "require_extra", "split_argument"]


def split_argument(scheme: str, argument: str, known: Iterable[str]) -> tuple[str, dict[str, str]]:
    """Split `PLACE?key=value&key=value`.

    Raises:
        UnknownModel: the place is empty, or a setting is not among the `known` ones.
    """
    place, _, query = argument.partition("?")
    settings = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(settings) - set(known))
    if unknown:
        # Names only: a value could be an API key.
        raise UnknownModel(
            f"{scheme}: unknown settings {', '.join(unknown)}\n"
            f"  remedy: use {', '.join(sorted(known))}, as in {scheme}:PLACE?key=value"
        )
    if not place:
        raise UnknownModel(
            f"{scheme}: the spec names no model\n  remedy: write {scheme}:PLACE, see docs/judges.md"
        )
    return place, settings


def positive_int(scheme: str, settings: dict[str, str], name: str) -> int | None:
    """Return a setting as a positive integer, None if it is absent.

    Raises:
        UnknownModel: it is not a positive integer.
    """
    text = settings.get(name)
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UnknownModel(
            f"{scheme}: {name}={text!r} is not a positive integer\n  remedy: write {name}=N"
        )
    return int(text)


def answer_format(scheme: str, text: str | None) -> str:
    """Return the answer format of a setting; `json` by default.

    Raises:
        UnknownModel: there is no such format.
    """
    if text in {None, "json", "tagged"}:
        return text or "json"
    raise UnknownModel(
        f"{scheme}: format={text!r} is not an answer format\n  remedy: write format=json or tagged"
    )


def require_extra(extra: str, *modules: str) -> None:
    """Check that the modules of an extra are installed, without importing them.

    Raises:
        MissingExtra: one of them is not installed.
    """
    for module in modules:
        if find_spec(module) is None:
            raise MissingExtra(extra, needed_for=f"a judge of the kind {extra}:… ({module})")
