"""Replace secrets in text and in named fields.

Equal secrets get equal replacements within one store, so a wrong key can still be followed from
step to step, but without the store's salt the hash cannot be used to test guesses.

A plain run of hex digits (a commit id, say) is never touched without a name beside it that says
secret. Where redaction itself fails, the text is withheld.
"""

from __future__ import annotations

import hashlib
import re
from functools import partial

from agentracer.encoding import clean_text, cut_text
from agentracer.redaction.assignments import DEFAULT_STEMS, find_assigned
from agentracer.redaction.names import Sensitivity, looks_random, normalized, sensitivity
from agentracer.redaction.settings import RedactionSettings
from agentracer.redaction.tokens import matching_rules

__all__ = ["Redactor"]

_WITHHELD = "[agentracer: withheld, redaction failed]"
_SHORT_NAME = 15  # a shorter identifier is the name of a field, most often, and no secret
_MARGIN = 16_384  # a secret that straddles a cut must be recognised whole before the cut
_UNREDACTED = r"(?!\[redacted:)"

_PEM = re.compile(
    r"(?P<secret>-----BEGIN [A-Z0-9 ]{1,40}-----(?:[^-]|-(?!----))*"
    r"(?:-----END [A-Z0-9 ]{1,40}-----|(?=-----)|\Z))"
)
_USER_OPTION = re.compile(
    r"[ \t](?:-u|--user|--proxy-user)[ =]{0,4}[\"']?[^\s:\"']{1,200}:"
    rf"(?P<secret>{_UNREDACTED}[^\s\"']{{1,512}})"
)
_CONTEXTS: tuple[tuple[str, bytes, re.Pattern[str]], ...] = (
    ("pem", b"-----begin ", _PEM),
    (
        "authorization",
        b"bearer",
        re.compile(
            r"\b(?:[Bb]earer|BEARER)(?:[ \t]{1,8}|%20)"
            rf"(?P<secret>{_UNREDACTED}(?=[A-Za-z._~+/-]{{0,200}}[0-9=_])[A-Za-z0-9._~+/=-]{{8,}})"
        ),
    ),
    (
        "authorization",
        b"basic ",
        re.compile(
            r"\b(?:[Bb]asic|BASIC)[ \t]{1,8}"
            rf"(?P<secret>{_UNREDACTED}(?=[A-Za-z._~+/-]{{0,200}}[0-9=_])[A-Za-z0-9._~+/=-]{{8,}})"
        ),
    ),
    (
        "url-password",
        b"://",
        re.compile(rf"://[^/\s:@\"'<>]{{0,256}}:(?P<secret>{_UNREDACTED}[^/\s@\"'<>]{{1,512}})@"),
    ),
    (
        "webhook",
        b"hook",
        re.compile(
            r"(?:hooks\.slack\.com/(?:services|workflows|triggers)|hooks\.zapier\.com/hooks/catch"
            r"|discord(?:app)?\.com/api/webhooks)/(?P<secret>[A-Za-z0-9_/-]{10,512})"
        ),
    ),
    (
        "basic-auth",
        b"auth",
        re.compile(
            r"auth[\"']?[ \t]{0,2}[=:]?[ \t]{0,2}[(\[][ \t]{0,2}[\"'][^\"'\n]{0,200}[\"'],"
            r"[ \t]{0,4}"
            rf"[\"'](?P<secret>{_UNREDACTED}[^\"'\n]{{1,512}})[\"']"
        ),
    ),
    ("basic-auth", b"curl ", _USER_OPTION),
    ("basic-auth", b"--user", _USER_OPTION),
    (
        "field",
        b"password ",
        re.compile(
            r"(?i:\blogin[ \t]{1,4}\S{1,200}\s{1,4}password|\bwith(?: encrypted)? password|"
            rf"\bset password)[ \t]{{1,4}}[\"']?(?P<secret>{_UNREDACTED}[^\s\"';]{{1,512}})"
        ),
    ),
    (
        "field",
        b"identified by",
        re.compile(
            rf"(?i:\bidentified by)[ \t]{{1,4}}[\"'](?P<secret>{_UNREDACTED}[^\s\"';]{{1,512}})"
        ),
    ),
)
"""Secrets known by what stands around them: kind, lower-case text to look for first, pattern."""


class Redactor:
    """Replaces secrets in text.

    Args:
        salt: keys the hashes; texts redacted under one salt are linkable with each other.
        limit: longer texts are cut, after redaction, to this many characters.
        settings: the user's own patterns and field names.
        withhold: replace every text whole: the user's settings cannot be used.
    """

    def __init__(
        self,
        salt: bytes,
        *,
        limit: int = 1_000_000,
        settings: RedactionSettings | None = None,
        withhold: bool = False,
    ) -> None:
        settings = settings or RedactionSettings()
        self._salt, self._limit, self._withhold = salt[:64], limit, withhold
        self._patterns = settings.compiled()
        self._secret_names, self._exempt_names = settings.secret_names, settings.exempt_names
        self._stems = (*DEFAULT_STEMS, *map(_last_word, settings.secret_fields))
        own_names = bool(self._secret_names or self._exempt_names)
        self._sensitivity = self._with_own_names if own_names else sensitivity

    def text(self, value: str) -> str:
        """`value` as encodable text without secrets, cut to the limit."""
        try:
            value = clean_text(value)
            if len(value) < _SHORT_NAME and value.isascii() and value.isidentifier():
                return value
            if self._withhold:
                return _WITHHELD
            if len(value) > self._limit + 2 * _MARGIN:
                return self._long(value)
            return cut_text(self._replace(value), self._limit)
        except Exception:  # noqa: BLE001 - fail closed, whatever went wrong
            return _WITHHELD

    def field(self, key: str, value: str) -> str:
        """`value` found under `key`: replaced whole where the key says that it is a secret."""
        try:
            if value and self._is_secret_field(key, value):
                return value if value.startswith("[redacted:") else self._mark("field", value)
        except Exception:  # noqa: BLE001 - fail closed, whatever went wrong
            return _WITHHELD
        return self.text(value)

    def _is_secret_field(self, key: str, value: str) -> bool:
        level = self._sensitivity(key)
        if level is Sensitivity.POSSIBLE:
            return looks_random(value)
        return level is Sensitivity.CERTAIN

    def _with_own_names(self, name: str) -> Sensitivity:
        word = normalized(name)
        if word in self._secret_names:
            return Sensitivity.CERTAIN
        return Sensitivity.NONE if word in self._exempt_names else sensitivity(name)

    def _replace(self, value: str) -> str:
        for kind, pattern in self._patterns:
            value = pattern.sub(partial(self._swap, kind), value)
        lowered = _lowered(value)
        original = value
        for kind, keyword, pattern in _CONTEXTS:
            if keyword in lowered:
                value = pattern.sub(partial(self._swap, kind), value)
        for rule in matching_rules(original, lowered):
            value = rule.pattern.sub(partial(self._swap, rule.kind), value)
        return self._replace_assigned(value, lowered if value is original else _lowered(value))

    def _replace_assigned(self, value: str, lowered: bytes) -> str:
        pieces, position = [], 0
        for start, end in find_assigned(value, lowered, self._sensitivity, self._stems):
            pieces += [value[position:start], self._mark("field", value[start:end])]
            position = end
        return "".join([*pieces, value[position:]]) if pieces else value

    def _swap(self, kind: str, match: re.Match[str]) -> str:
        start, end = match.span("secret")
        whole, origin = match.group(), match.start()
        if start < 0 or start == end:
            return whole
        mark = self._mark(kind, match.group("secret"))
        return f"{whole[: start - origin]}{mark}{whole[end - origin :]}"

    def _mark(self, kind: str, secret: str) -> str:
        encoded = secret.encode(errors="backslashreplace")
        digest = hashlib.blake2b(encoded, key=self._salt, digest_size=4).hexdigest()
        return f"[redacted:{kind}:{digest}]"

    def _long(self, value: str) -> str:
        """Redact what will be kept and a margin around it, so that a huge text costs no more."""
        tail = self._limit // 4
        head = self._limit - tail
        first = self._replace(value[: head + _MARGIN])[:head]
        last = self._replace(value[-(tail + _MARGIN) :])[-tail:] if tail else ""
        removed = len(value) - head - tail
        mark = f"…[agentracer: cut {removed} of {len(value)} characters]…"
        return f"{first}{mark}{last}"


def _lowered(value: str) -> bytes:
    """`value` in lower case, one byte per character, so that positions are the same."""
    return value.encode("ascii", "replace").lower()


def _last_word(name: str) -> bytes:
    """The last word of a field's name in lower case: every spelling of the name contains it."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+", name)
    return (words[-1] if words else normalized(name)).lower().encode()
