"""Turn the rules of gitleaks into `src/agentracer/redaction/gitleaks_rules.json`.

    python scripts/redaction_rules.py gitleaks.toml VERSION

`gitleaks.toml` is `config/gitleaks.toml` of https://github.com/gitleaks/gitleaks (MIT licence).
Kept are the rules that start from a fixed prefix. Left out, and counted in the file: rules that
need the name of a vendor beside the value (names are read by `redaction/assignments.py`), rules
without a pattern, and rules that take more than linear time on long runs of one character.
"""

from __future__ import annotations

import json
import re
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

_TARGET = Path(__file__).parent.parent / "src/agentracer/redaction/gitleaks_rules.json"
_END = re.compile(
    r"\(\?:\[\\x60'\"\\s;\]\|\\\\\[nr\]\|\$(?:\|\\b)?\)$|\(\?:\[\^[^\]]*\]\|\\z\)$|\\b$"
)
_CONTEXT = ("(?i)[\\w.-]{0,50}?", "[\\w.-]{0,50}?")
_WEAK = {
    "jwt": "read by a rule of our own",
    "sourcegraph-access-token": "its last alternative is any commit id",
    "facebook-access-token": "any two numbers with a bar between",
    "private-key": "read by a rule of our own",
    "curl-auth-header": "headers are read by name",
    "curl-auth-user": "read by a rule of our own",
    "kubernetes-secret-yaml": "needs the whole document",
    "nuget-config-password": "attributes are read by name",
    "azure-ad-client-secret": "read by a rule of our own",
    "clickhouse-cloud-api-secret-key": "a prefix of four hex digits, found in any hash",
    "harness-api-key": "read by a rule of our own",
    "vault-service-token": "read by a rule of our own",
    "slack-webhook-url": "read by a rule of our own",
    "twilio-api-key": "read by a rule of our own",
    "octopus-deploy-api-key": "read by a rule of our own",
}
_PROBES = [*"aA0_-.:/=+ \t\n\"'`{}[]()<>#~*|\\@,;%$&!?^", "ab1-", "a.", "key=", "://a:"]


def converted(pattern: str) -> str:
    """A Go pattern as a Python one that also takes the rest of the token."""
    pattern = pattern.replace("[[:alnum:]]", "[a-zA-Z0-9]").replace(r"\z", r"\Z")
    pattern = _END.sub("", pattern)
    insensitive = "(?i)" in pattern
    pattern = pattern.replace("(?i)", "").replace("(?-i:", "(?:")
    pattern = re.sub(r"^\\b", "(?<![A-Za-z0-9])", pattern)
    if re.match(r"[A-Za-z0-9]", pattern):
        pattern = f"(?<![A-Za-z0-9]){pattern}"
    flag = "(?i)" if insensitive else ""
    return f"{flag}{pattern}[A-Za-z0-9_-]*" if pattern[-1] not in "*+" else f"{flag}{pattern}"


def is_linear(pattern: str) -> bool:
    """Whether the pattern takes under 20 ms on 20,000 repetitions of every probe."""
    compiled = re.compile(pattern)
    for probe in _PROBES:
        text = probe * (20_000 // len(probe))
        started = time.process_time()
        compiled.search(text)
        if time.process_time() - started > 0.02:
            return False
    return True


def main() -> None:
    """Write the file of rules and print what was left out."""
    source = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    rules: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    for rule in source["rules"]:
        identity, pattern = rule["id"], rule.get("regex")
        if pattern is None:
            left_out[identity] = "no pattern"
        elif identity in _WEAK:
            left_out[identity] = _WEAK[identity]
        elif pattern.startswith(_CONTEXT) or identity == "generic-api-key":
            left_out[identity] = "needs a vendor's name beside the value"
        elif not is_linear(converted(pattern)):
            left_out[identity] = "more than linear time"
        else:
            rules.append(
                {"kind": identity, "keywords": rule["keywords"], "pattern": converted(pattern)}
            )
    data = {
        "source": "gitleaks",
        "version": sys.argv[2],
        "license": "MIT, Copyright (c) 2019 Zachary Rice",
        "rules": rules,
        "left_out": left_out,
    }
    _TARGET.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    print(len(rules), "rules;", len(left_out), "left out")
    for identity, reason in left_out.items():
        if not reason.startswith("needs a vendor"):
            print(f"  {identity}: {reason}")


if __name__ == "__main__":
    main()
