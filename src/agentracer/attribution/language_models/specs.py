"""What follows the scheme of a model spec: a place, and settings after a `?`."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from urllib.parse import parse_qsl

from agentracer.errors import MissingExtra, UnknownModel

__all__ = ["answer_format", "need", "place_and_settings", "whole_number"]


def place_and_settings(
    scheme: str, argument: str, known: Iterable[str]
) -> tuple[str, dict[str, str]]:
    """Split `PLACE?key=value&key=value`.

    Raises:
        UnknownModel: there is no place, or a setting is not among the `known` ones.
    """
    place, _, query = argument.partition("?")
    settings = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(settings) - set(known))
    if unknown:
        # Names only: a value may be a key that somebody put there.
        raise UnknownModel(
            f"{scheme}: unknown settings {', '.join(unknown)}\n"
            f"  remedy: use {', '.join(sorted(known))}, as in {scheme}:PLACE?key=value"
        )
    if not place:
        raise UnknownModel(
            f"{scheme}: says no model\n  remedy: write {scheme}:PLACE, see docs/judges.md"
        )
    return place, settings


def whole_number(scheme: str, settings: dict[str, str], name: str) -> int | None:
    """A setting as a positive number.

    Raises:
        UnknownModel: it is none.
    """
    text = settings.get(name)
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UnknownModel(
            f"{scheme}: {name}={text!r} is no whole number\n  remedy: write {name}=N, at least 1"
        )
    return int(text)


def answer_format(scheme: str, text: str | None) -> str:
    """The form of answer that a setting asks for; `json` by default.

    Raises:
        UnknownModel: there is no such form.
    """
    if text in {None, "json", "tagged"}:
        return text or "json"
    raise UnknownModel(
        f"{scheme}: format={text!r} is no form of answer\n  remedy: write format=json or tagged"
    )


def need(extra: str, *modules: str) -> None:
    """Make sure that the modules of an extra can be imported, without importing them.

    Raises:
        MissingExtra: one of them is not installed.
    """
    for module in modules:
        if find_spec(module) is None:
            raise MissingExtra(extra, needed_for=f"a judge of the kind {extra}:… ({module})")
