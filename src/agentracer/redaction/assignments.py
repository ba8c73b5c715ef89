"""Find values that stand beside the name of a secret, in any notation.

Environment dumps, INI, YAML, TOML, JSON (also inside a JSON text), Python and shell code, options
of commands, HTTP headers, query parameters, connection strings and XML all put a name before a
value. The search starts from the few stems that every such name contains and reads what follows in
place, so the cost is linear in the text whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from agentracer.redaction.names import STEMS, Sensitivity, looks_random, normalized

__all__ = ["DEFAULT_STEMS", "find_assigned"]

_MAX_VALUE: Final = 16_384
_LONG: Final = 64
_NAME_CHARS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."
DEFAULT_STEMS: Final = tuple(stem.encode() for stem in STEMS)

_AFTER_STEM = re.compile(
    r"""
    (?P<rest>[\w.-]{0,48})
    (?P<close>\\{0,7}["'`]?)\]?
    (?P<separator>
        [ \t]{0,8} : [ \t]? (?:str|string|SecretStr|Optional\[str\]|str[ ]\|[ ]None)
            [ \t]? = [ \t]{0,8}
      | [ \t]{0,8} (?: := | => | ={1,3} | : ) [ \t]{0,8}
      | > (?=[^<\s>]{1,512}</)
      | [ \t]{1,4} value = (?=["'])
      | ,[ \t]{0,4} \\{0,7}["']value\\{0,7}["'][ \t]{0,4}:[ \t]{0,4}
      | \n[ \t-]{0,40} value: [ \t]{0,8}
      | ,[ \t]{0,4} (?=\\{0,7}["'])
      | [ \t]{1,4}
    )
    (?P<open>\\{0,7}["'`]|)
    """,
    re.VERBOSE,
)
_ENDS: Final = ("", "\n", "\r", "&", ";", "<")
_NAME_RUN = re.compile(r"[\w.-]*")
_UNQUOTED = re.compile(r"""[^\s"'`,;&<>\\]{1,4096}""")
_LINE = re.compile(r"""[^\r\n"'`]{1,2048}""")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,30}[ \t]{1,4}")
_REDACTED = re.compile(r"(?:[A-Za-z][\w-]{0,30}[ \t]{1,4})?\[redacted:[\w-]{1,64}:[0-9a-f]{8}\]")
_NO_VALUE = re.compile(r"[\[({<$]|await |lambda\b|[A-Za-z_][\w.]{0,200}[(\[]")
_DIGIT = re.compile(r"[0-9]")
_HAS_DIGIT_OR_SIGN = re.compile(r"[0-9=]")
_YAML_TAG = re.compile(r"![a-z]+")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z_.]*")
_PLACEHOLDER = re.compile(
    r"""
    (?P<char>.)(?P=char){2,64} | \.{2,} | [*xX•.…-]+
    | <[^<>]*> | \$\{?\w+\}? | \$\{[^}]*\} | \$\([^)]*\) | %\w+% | %\(?\w*\)?s
    | \{[\w.!:\[\]"' ]*\} | \{\{[^}]*\}\}
    | (?i:your|my|some|the|an?)[-_ ](?:[\w -]{1,40})
    """,
    re.VERBOSE,
)
_WORDS = frozenset(
    {
        *("a", "absent", "an", "and", "are", "bool", "bytes", "default", "disabled", "empty"),
        *("enabled", "env", "expired", "false", "field", "for", "from", "has", "have", "here"),
        *("hidden", "in", "incorrect", "int", "invalid", "is", "key", "masked", "missing", "must"),
        *("my", "nil", "no", "none", "not", "null", "number", "of", "ok", "on", "optional", "or"),
        *("password", "please", "redacted", "required", "secret", "see", "should", "str", "string"),
        *("text", "that", "the", "this", "to", "token", "true", "undefined", "unknown", "unset"),
        *("value", "was", "will", "with", "wrong", "yes", "your"),
    }
)
"""What stands beside the name of a secret in prose, schemas and code, and is none."""


def find_assigned(
    value: str,
    lowered: bytes,
    classify: Callable[[str], Sensitivity],
    stems: tuple[bytes, ...] = DEFAULT_STEMS,
) -> Iterator[tuple[int, int]]:
    """Yield start and end of each value that stands beside the name of a secret, in order.

    Args:
        value: the text to search.
        lowered: the same in lower case, one byte per character.
        classify: says of a name how sure it is to be that of a secret.
        stems: lower-case text of which every such name contains one.
    """
    done = 0
    for position in _last_in_names(value, sorted(_stem_ends(lowered, stems))):
        match = _AFTER_STEM.match(value, position) if position >= done else None
        span = _value_span(value, position, match, classify) if match is not None else None
        if span is None:
            continue
        start, end, is_secret = span
        if is_secret:
            yield start, end
        if is_secret or (end - start > _LONG and _is_harmless(value, start, end)):
            done = end


def _is_harmless(value: str, start: int, end: int) -> bool:
    """Whether a long value that is no secret holds none further on, so that it is read once."""
    return not _DIGIT.search(value, start, end) or not any(
        map(_is_credential, value[start:end].split())
    )


def _last_in_names(value: str, positions: list[int]) -> Iterator[int]:
    """Of the stems that stand in one name, the last: a name is read once."""
    name_end, last = -1, -1
    for position in positions:
        if position > name_end:
            if last >= 0:
                yield last
            name_end = _NAME_RUN.match(value, position).end()  # type: ignore[union-attr]
        last = position
    if last >= 0:
        yield last


def _stem_ends(lowered: bytes, stems: tuple[bytes, ...]) -> set[int]:
    ends = set()
    for stem in stems:
        position = lowered.find(stem)
        length = len(stem.rstrip(b"="))
        while position >= 0:
            ends.add(position + length)
            position = lowered.find(stem, position + length)
    return ends


def _value_span(
    value: str, stem_end: int, match: re.Match[str], classify: Callable[[str], Sensitivity]
) -> tuple[int, int, bool] | None:
    """Start and end of the value that `match` introduces, and whether it is a secret."""
    separator = match["separator"]
    is_blank = not separator.strip(" \t")
    if is_blank and value.rfind("--", max(0, stem_end - 64), stem_end) < 0:
        return None
    before = value[max(0, stem_end - 64) : stem_end]
    name = before[len(before.rstrip(_NAME_CHARS)) :] + match["rest"]
    is_option = name.startswith("--")
    name = name.strip("-.")
    if is_blank and not is_option:
        return None
    if separator.startswith(",") and not match["close"]:
        return None
    level = classify(name)
    if level is Sensitivity.NONE:
        return None
    start = match.end()
    end = _closing_quote(value, start, match["open"]) if match["open"] else None
    quoted = end is not None
    if end is None:
        start, end = _unquoted_span(value, start, normalized(name), separator)
    secret = value[start:end]
    if not secret or _REDACTED.fullmatch(secret):
        return None
    if quoted:
        keep = _is_quoted_secret(secret, level)
    else:
        keep = _is_unquoted_secret(value, name, separator, secret, start, level)
    return start, end, keep


def _closing_quote(value: str, start: int, opening: str) -> int | None:
    """The end of a quoted value on the same line; None if the quote is not closed."""
    limit = min(len(value), start + _MAX_VALUE)
    position = value.find(opening, start, limit)
    while position > 0 and len(opening) == 1 and _is_escaped(value, start, position):
        position = value.find(opening, position + 1, limit)
    if position < 0 or value.find("\n", start, position) >= 0:
        return None
    return position


def _is_escaped(value: str, start: int, position: int) -> bool:
    tail = value[max(start, position - 16) : position]
    return (len(tail) - len(tail.rstrip("\\"))) % 2 == 1


def _unquoted_span(value: str, start: int, name: str, separator: str) -> tuple[int, int]:
    """Start and end of a value without quotes; headers take the rest of their line."""
    if name.endswith(("cookie", "authorization")) and separator.strip()[:1] in (":", "="):
        line = _LINE.match(value, start)
        if line is None:
            return start, start
        scheme = _SCHEME.match(value, start, line.end())
        first = scheme.end() if scheme and name.endswith("authorization") else start
        return first, line.end() - (len(line[0]) - len(line[0].rstrip()))
    if _NO_VALUE.match(value, start) and not value.startswith("[redacted:", start):
        return start, start
    plain = _UNQUOTED.match(value, start)
    return (start, plain.end()) if plain else (start, start)


def _is_credential(part: str) -> bool:
    """Whether a word of a header has a digit or sign, or mixes cases: a word of prose does not."""
    if len(part) < 8 or part.startswith(("$", "<", "{")):
        return False
    mixed = not (part.islower() or part[1:].islower() or part.isupper())
    return _HAS_DIGIT_OR_SIGN.search(part) is not None or (len(part) >= 16 and mixed)


def _is_quoted_secret(secret: str, level: Sensitivity) -> bool:
    if _PLACEHOLDER.fullmatch(secret) or secret.lower() in _WORDS:
        return False
    return level is Sensitivity.CERTAIN or looks_random(secret)


def _is_unquoted_secret(
    value: str, name: str, separator: str, secret: str, start: int, level: Sensitivity
) -> bool:
    if secret.startswith("[redacted:") or _PLACEHOLDER.fullmatch(secret):
        return False
    if normalized(name).endswith(("cookie", "authorization")):
        return any(map(_is_credential, secret.split()))
    bare = secret.rstrip(".)]}:!?")
    if not bare or _YAML_TAG.fullmatch(secret):
        return False
    if name.isupper() and "=" in separator:
        return True
    if level is Sensitivity.POSSIBLE:
        return looks_random(bare)
    if bare.lower() in _WORDS or normalized(bare) == normalized(name):
        return False
    if not _IDENTIFIER.fullmatch(bare):
        return len(bare) >= 4 or "=" in separator
    # A word of letters alone: a secret at the end of its line or query, else prose or code.
    end = start + len(bare)
    return "." not in bare and len(bare) >= 4 and value[end : end + 1] in _ENDS
