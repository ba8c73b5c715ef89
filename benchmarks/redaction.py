"""Print how many secrets of the corpus are missed and how many look-alikes are replaced.

    python benchmarks/redaction.py [--seed 0]

Beside ours: the default plug-ins of detect-secrets and OpenInference's `TraceConfig`, where they
are installed (`pip install detect-secrets openinference-instrumentation`). The corpus is
`benchmarks/secret_corpus.py`. Its author also wrote our rules, so our figure is that of a set that
the rules were made for; the others' is not.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from secret_corpus import look_alikes, secret_cases

from agentracer.redaction import Redactor
from agentracer.redaction.tokens import token_rules

Mask = Callable[[str], str]
_ROOT = Path(__file__).parent.parent


def detect_secrets() -> Mask | None:
    """Replace what the default plug-ins of detect-secrets find, line by line."""
    try:
        from detect_secrets.core.scan import scan_file  # type: ignore[import-not-found]
        from detect_secrets.settings import default_settings  # type: ignore[import-not-found]
    except ImportError:
        return None
    folder = Path(tempfile.mkdtemp())

    def mask(text: str) -> str:
        path = folder / "text.txt"
        path.write_text(text, encoding="utf-8")
        with default_settings():
            for found in scan_file(str(path)):
                if found.secret_value:
                    text = text.replace(found.secret_value, "[masked]")
        return text

    return mask


def openinference(hide: bool) -> Mask | None:
    """What `TraceConfig` leaves of a model's input, by default or with all inputs hidden."""
    try:
        from openinference.instrumentation import TraceConfig
    except ImportError:
        return None
    config = TraceConfig(hide_inputs=hide)
    return lambda text: str(config.mask("input.value", text))


def leaked(text: str, secret: str) -> bool:
    """Whether 12 characters in a row of a secret, after its public prefix, are left."""
    private = secret[8:] if len(secret) > 24 else secret
    return any(private[i : i + 12] in text for i in range(max(1, len(private) - 11)))


def microseconds(mask: Mask, texts: list[str]) -> float:
    """Processor time for a text, in microseconds: the best of five rounds over `texts`."""
    rounds = []
    for _ in range(5):
        started = time.process_time()
        for text in texts * 40:
            mask(text)
        rounds.append((time.process_time() - started) / (40 * len(texts)))
    return min(rounds) * 1e6


def sample_texts() -> list[str]:
    """Prose, code and JSON of 2 kB each."""
    prose = (_ROOT / "docs/architecture.md").read_text(encoding="utf-8")[3_000:5_000]
    code = (_ROOT / "src/agentracer/recorder.py").read_text(encoding="utf-8")[3_000:5_000]
    call = {"name": "lookup", "arguments": {"city": "Oslo", "page_token": None}, "cost": 11.5}
    return [prose, code, json.dumps([call] * 40)[:2_000]]


def main() -> None:
    """Print one line for each way of masking."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    cases, others = list(secret_cases(seed)), list(look_alikes(seed))
    kinds, carriers = {case.kind for case in cases}, {case.carrier for case in cases}
    print(f"{len(cases)} secrets of {len(kinds)} kinds in {len(carriers)} notations, "
          f"{len(others)} look-alikes, seed {seed}")  # fmt: skip
    borrowed = sum(rule.source == "gitleaks" for rule in token_rules())
    print(f"{len(token_rules())} rules for keys by their shape, {borrowed} of them from gitleaks")
    masks: dict[str, Mask | None] = {
        "agentracer": Redactor(b"0123456789abcdef").text,
        "detect-secrets (default plug-ins)": detect_secrets(),
        "OpenInference (default)": openinference(hide=False),
        "OpenInference (hide_inputs)": openinference(hide=True),
    }
    print(f"{'':36}{'missed':>14}{'falsely replaced':>20}")
    for name, mask in masks.items():
        if mask is None:
            print(f"{name:36}  not installed")
            continue
        missed = sum(leaked(mask(case.text), case.secret) for case in cases)
        changed = sum(mask(text) != text for _, text in others)
        left = f"{missed:>8} ({missed / len(cases):4.0%})"
        print(f"{name:36}{left}{changed:>13} ({changed / len(others):4.0%})")
    texts = sample_texts()
    redact = Redactor(b"0123456789abcdef").text
    for name, text in zip(("prose", "code", "JSON"), texts, strict=True):
        print(f"2 kB of {name}: {microseconds(redact, [text]):.0f} µs")


if __name__ == "__main__":
    main()
