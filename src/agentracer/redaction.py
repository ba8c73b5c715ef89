"""Secrets never reach the disk: replaced by their kind and a short keyed hash.

Equal secrets get equal replacements within one store, so a wrong key can still be followed from
step to step, but without the store's salt the hash cannot be used to test guesses.

Patterns are case-sensitive and anchored on fixed text: that is ten times faster than ignoring
case, and a plain run of hex digits (a commit id, say) is never touched. Where redaction itself
fails, the text is withheld.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import partial

from agentracer.encoding import clean_text, cut_text

__all__ = ["Redactor"]

_WITHHELD = "[agentracer: withheld, redaction failed]"
_HARMLESS = 17  # a shorter identifier is no secret: the name of a field, most often
_MARGIN = 16_384  # a secret that straddles a cut must be recognised whole before the cut
_NOT_YET = r"(?!\[redacted:)"
_ID = "[A-Za-z0-9_-]"
_START = r"(?<![A-Za-z0-9_-])"  # a token is tried once, not from each of its characters
_HAS_DIGIT = rf"(?={_ID}*[0-9])"
_NAME_UPPER = "KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?"
_NAME_LOWER = (
    "api[_-]?key|apiKey|password|passwd|secret|client_secret|clientSecret|private_key|privateKey|"
    "access_token|accessToken|refresh_token|refreshToken|auth_token|authToken"
)


@dataclass(frozen=True, slots=True)
class _Rule:
    """One shape of secret; the group `secret` of `pattern` is what is replaced.

    `pattern` is only tried where one of `needles` occurs, and those are only looked for where
    `gate` occurs: one character is found thirty times faster than a word.
    """

    kind: str
    gate: str
    needles: tuple[str, ...]
    pattern: re.Pattern[str]


def _rule(kind: str, gate: str, needles: str, pattern: str) -> _Rule:
    if "(?P<secret>" not in pattern:
        pattern = f"(?P<secret>{pattern})"
    return _Rule(kind, gate, tuple(needles.split("|")), re.compile(pattern))


_RULES = (
    _rule(
        "pem",
        "-",
        "-----BEGIN ",
        r"-----BEGIN [A-Z0-9 ]{1,40}-----[\s\S]*?(?:-----END [A-Z0-9 ]{1,40}-----|\Z)",
    ),
    _rule("anthropic-key", "-", "sk-ant-", rf"{_START}sk-ant-{_ID}{{8,}}"),
    _rule("openai-key", "-", "sk-", rf"{_START}sk-(?!ant-){_HAS_DIGIT}{_ID}{{16,}}"),
    _rule("aws-key-id", "", "AKIA|ASIA", r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])"),
    _rule("github-token", "_", "ghp_|gho_|ghu_|ghs_|ghr_", r"gh[pousr]_[A-Za-z0-9]{16,}"),
    _rule("github-token", "_", "github_pat_", r"github_pat_[A-Za-z0-9_]{16,}"),
    _rule("gitlab-token", "-", "glpat-", rf"glpat-{_ID}{{16,}}"),
    _rule("google-key", "", "AIza", rf"AIza{_ID}{{30,}}"),
    _rule("google-token", ".", "ya29.", rf"ya29\.{_ID}{{16,}}"),
    _rule("slack-token", "-", "xox", r"xox[abeoprs]-[A-Za-z0-9-]{10,}"),
    _rule("huggingface-token", "_", "hf_", r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{16,}"),
    _rule("pypi-token", "-", "pypi-", rf"{_START}pypi-{_HAS_DIGIT}{_ID}{{16,}}"),
    _rule("npm-token", "_", "npm_", r"(?<![A-Za-z0-9])npm_[A-Za-z0-9]{30,}"),
    _rule("stripe-key", "_", "k_live_|k_test_", r"[sr]k_(?:live|test)_[A-Za-z0-9]{10,}"),
    _rule("langsmith-key", "_", "lsv2_", r"lsv2_[a-z]{2}_[A-Za-z0-9_]{16,}"),
    _rule("jwt", ".", "eyJ", rf"{_START}eyJ{_ID}{{8,}}\.{_ID}{{8,}}\.{_ID}*"),
    _rule(
        "authorization",
        " ",
        "earer |EARER |asic ",
        rf"\b(?:[Bb]earer|BEARER|[Bb]asic)\s+(?P<secret>{_NOT_YET}(?=[A-Za-z._~+/-]*[0-9=_])"
        r"[A-Za-z0-9._~+/=-]{8,})",
    ),
    _rule("url-password", ":", "://", rf"://[^/\s:@]*:(?P<secret>{_NOT_YET}[^/\s@]+)@"),
    _rule(
        "env",
        "",
        "KEY|TOKEN|SECRET|PASSW|CREDENTIAL",
        rf"\b[A-Z0-9_]{{0,40}}(?:{_NAME_UPPER})[A-Z0-9_]{{0,40}}"
        rf"""(?:=(?P<quote>["']?)|\s{{0,3}}[=:]\s{{0,3}}(?P<quote2>["']))(?P<secret>{_NOT_YET}"""
        r"""(?(quote2)[^"'\n]+|(?:(?<=["'])[^"'\n]+|[^\s"',;]+)))""",
    ),
    _rule(
        "field",
        ":",
        "key|Key|passw|secret|Secret|token|Token",
        rf"""["'](?:{_NAME_LOWER})["']\s*:\s*["'](?P<secret>{_NOT_YET}[^"'\n]{{3,}})["']""",
    ),
    _rule(
        "header",
        ":",
        "pi-key|PI-KEY|pi-Key",
        rf"\b(?:[Xx]-)?(?:[Aa]pi-[Kk]ey|API-KEY)\s*:\s*(?P<secret>{_NOT_YET}[^\s\"',;]{{6,}})",
    ),
)


def _by_gate() -> dict[str, list[tuple[str, _Rule]]]:
    gates: dict[str, list[tuple[str, _Rule]]] = {}
    for rule in _RULES:
        gates.setdefault(rule.gate, []).extend((needle, rule) for needle in rule.needles)
    return gates


_BY_GATE = _by_gate()

_SECRET_FIELDS = frozenset(
    {
        *("password", "passwd", "secret", "credentials", "cookie", "setcookie"),
        *("apikey", "xapikey", "clientsecret", "privatekey", "secretkey", "awssecretaccesskey"),
        *("accesstoken", "refreshtoken", "authtoken", "sessiontoken"),
        *("authorization", "proxyauthorization"),
    }
)
"""Names of fields, without case and separators, whose whole value is a secret."""


class Redactor:
    """Replaces secrets in text.

    Args:
        salt: keys the hashes; texts redacted under one salt are linkable with each other.
        limit: longer texts are cut, after redaction, to this many characters.
    """

    def __init__(self, salt: bytes, *, limit: int = 1_000_000) -> None:
        self._salt, self._limit = salt[:64], limit

    def text(self, value: str) -> str:
        """`value` as encodable text without secrets, cut to the limit."""
        try:
            value = clean_text(value)
            if len(value) < _HARMLESS and value.isascii() and value.isidentifier():
                return value
            if len(value) > self._limit + 2 * _MARGIN:
                return self._long(value)
            return cut_text(self._replace(value), self._limit)
        except Exception:  # noqa: BLE001 - fail closed, whatever went wrong
            return _WITHHELD

    def field(self, key: str, value: str) -> str:
        """`value` found under `key`: withheld whole where the key says that it is a secret."""
        if value and key.replace("_", "").replace("-", "").lower() in _SECRET_FIELDS:
            try:
                return value if value.startswith("[redacted:") else self._mark("field", value)
            except Exception:  # noqa: BLE001 - fail closed, whatever went wrong
                return _WITHHELD
        return self.text(value)

    def _replace(self, value: str) -> str:
        for gate, rules in _BY_GATE.items():
            if gate not in value:
                continue
            for needle, rule in rules:
                if needle in value:
                    value = rule.pattern.sub(partial(self._swap, rule.kind), value)
        return value

    def _swap(self, kind: str, match: re.Match[str]) -> str:
        start, end = match.span("secret")
        whole, origin = match.group(), match.start()
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
