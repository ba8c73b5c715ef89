"""What a user adds to the rules of redaction: `redaction.toml` in the store's folder.

    secret_fields = ["employee_number"]   # the whole value of such a field is replaced
    exempt_fields = ["page_token"]        # not replaced for its name; known key shapes still are

    [patterns]                            # replaced in every field
    employee = 'EMP-[0-9]{6}'

A file that cannot be used fails closed: until it is corrected, all text is withheld.
"""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from agentracer.errors import FormatError
from agentracer.redaction.names import normalized

__all__ = ["RedactionSettings", "load_settings"]

_REPEATS = (constants.MAX_REPEAT, constants.MIN_REPEAT)
_PROBES = (*"a0A_-.:/= \n\"'", "a1", "ab ")
_FIELDS = frozenset({"secret_fields", "exempt_fields", "patterns"})


@dataclass(frozen=True)
class RedactionSettings:
    """Patterns and field names beside the built-in ones.

    Args:
        patterns: regular expressions by the kind that their replacement names; a group called
            `secret` limits what is replaced. They must take linear time.
        secret_fields: names of fields whose whole value is replaced.
        exempt_fields: names of fields whose value is not replaced because of the name alone.

    Raises:
        FormatError: a pattern does not compile, matches the empty text or can take more than
            linear time; a name has no letters or digits; or a name is both secret and exempt.
    """

    patterns: Mapping[str, str] = field(default_factory=dict)
    secret_fields: tuple[str, ...] = ()
    exempt_fields: tuple[str, ...] = ()
    source: Path | None = None

    def __post_init__(self) -> None:
        for kind, pattern in self.patterns.items():
            self._check_pattern(kind, pattern)
        for place in ("secret_fields", "exempt_fields"):
            for name in getattr(self, place):
                if not isinstance(name, str) or not normalized(name):
                    raise self._wrong(place, f"{name!r} is no field name", "give exact names")
        if both := self.secret_names & self.exempt_names:
            problem = f"{', '.join(sorted(both))}: both secret and exempt"
            raise self._wrong("exempt_fields", problem, "name a field in one list only")

    @property
    def secret_names(self) -> frozenset[str]:
        """`secret_fields` without case and separators."""
        return frozenset(map(normalized, self.secret_fields))

    @property
    def exempt_names(self) -> frozenset[str]:
        """`exempt_fields` without case and separators."""
        return frozenset(map(normalized, self.exempt_fields))

    def compiled(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        """The patterns by kind, each with the group `secret`."""
        return tuple(
            (kind, re.compile(p if "(?P<secret>" in p else f"(?P<secret>{p})"))
            for kind, p in self.patterns.items()
        )

    def _check_pattern(self, kind: str, pattern: str) -> None:
        place = f"patterns.{kind}"
        if not isinstance(pattern, str) or not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", kind):
            remedy = (
                'write them as: name-of-kind = "regular expression", the name in a-z, 0-9 and -'
            )
            raise self._wrong(place, "not a pattern with a plain name", remedy)
        try:
            compiled = re.compile(pattern)
            tree = parser.parse(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            remedy = "correct the regular expression (Python syntax)"
            raise self._wrong(place, f"does not compile: {error}", remedy) from error
        if compiled.match("") is not None:
            raise self._wrong(place, "matches the empty text", "make it match the secret alone")
        if _has_nested_repeat(tree) or not _is_linear(compiled):
            remedy = "bound the repetitions: {1,200} in place of * or +, none inside another"
            raise self._wrong(place, "can take more than linear time", remedy)

    def _wrong(self, place: str, problem: str, remedy: str) -> FormatError:
        return FormatError(problem, source=self.source, place=place, remedy=remedy)


def load_settings(path: Path) -> RedactionSettings:
    """Read `redaction.toml`; the built-in rules alone where there is no such file.

    Raises:
        FormatError: the file cannot be read, is not TOML, or holds what it may not.
    """
    remedy = "correct the file or remove it; until then all text is withheld"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return RedactionSettings()
    except (OSError, ValueError) as error:
        raise FormatError(f"cannot be read: {error}", source=path, remedy=remedy) from error
    if unknown := sorted(data.keys() - _FIELDS):
        problem = f"unknown field; known are {', '.join(sorted(_FIELDS))}"
        raise FormatError(problem, source=path, place=unknown[0], remedy=remedy)
    patterns = data.get("patterns", {})
    names = {key: data.get(key, []) for key in ("secret_fields", "exempt_fields")}
    if not isinstance(patterns, dict) or not all(isinstance(v, list) for v in names.values()):
        raise FormatError("patterns is a table, the fields are lists", source=path, remedy=remedy)
    fields = {key: tuple(value) for key, value in names.items()}
    return RedactionSettings(patterns=patterns, source=path, **fields)


def _has_nested_repeat(tree: Any, inside: bool = False) -> bool:
    """Whether an unbounded repetition stands inside another: exponential time at worst."""
    for operator, argument in tree:
        repeated = operator in _REPEATS and argument[1] > 1_000
        if repeated and inside:
            return True
        if any(_has_nested_repeat(part, inside or repeated) for part in _parts(argument)):
            return True
    return False


def _parts(argument: Any) -> list[Any]:
    if isinstance(argument, parser.SubPattern):
        return [argument]
    if isinstance(argument, (tuple, list)):
        return [part for item in argument for part in _parts(item)]
    return []


def _is_linear(pattern: re.Pattern[str]) -> bool:
    """Whether the time on long runs grows with their length, measured up to 20,000 characters."""
    for probe in _PROBES:
        for length in (200, 2_000, 20_000):
            started = time.process_time()
            pattern.sub("", probe * (length // len(probe)))
            if time.process_time() - started > 0.05:
                return False
    return True
