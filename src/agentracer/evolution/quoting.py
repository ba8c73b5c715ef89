"""Quote feedback from traces: as data, capped, and without orders to tools.

What a critic says about a run may repeat what a web page or a poisoned trace told it to say, and
it goes into the prompt of an agent that has tools. So all of it is quoted: every line begins with a
bar, template tokens and invisible characters lose their power (as for judges, see
`attribution.rendering`), and sentences that give orders to tools, show a call, or say to forget
instructions are left out. Nothing of it is ever executed.

Leaving sentences out goes by their wording and will miss some. What stays behind is for the loop
to find: a lesson that lowers success is retracted, whatever it says.
"""

from __future__ import annotations

import re
from typing import Final

from agentracer.attribution.rendering import neutralize
from agentracer.escaping import escape_control_chars

__all__ = ["OMITTED", "as_data", "clean", "same_words"]

OMITTED: Final = "[left out: an order to a tool]"

_FENCE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_CALL = re.compile(
    r"[{\[][^{}\[\]]{0,200}\"(?:name|tool|function|tool_name|recipient)\"\s*:[^\n]{0,2000}"
    r"|</?(?:tool|function|invoke|parameter)[\w:]*[^>\n]*>"
    r"|\b\w+\((?:[^()\n]{0,200})\)\s*(?:;|$)",
    re.IGNORECASE | re.MULTILINE,
)
_LINK = re.compile(r"\b(?:https?|ftp|file|data|javascript):\S+", re.IGNORECASE)
_ORDER = re.compile(
    r"\b(?:call|invoke|execute|run|use|trigger|launch)\b[^.!?\n]{0,60}"
    r"\b(?:tool|function|command|shell|terminal|bash|script|code|plugin|api|browser|url|"
    r"exec|eval|python|sudo|rm|curl|wget)\b"
    r"|\b(?:ignore|disregard|forget|override)\b[^.!?\n]{0,40}"
    r"\b(?:previous|earlier|above|prior|all|any|your|system|other)\b[^.!?\n]{0,40}"
    r"\b(?:instructions?|prompts?|rules?|orders?|messages?|lessons?)\b"
    r"|\b(?:sudo\s|rm\s+-|curl\s|wget\s|os\.system|subprocess|eval\(|exec\(|__import__)"
    r"|\b(?:send|post|upload|e-?mail|reveal|print|leak|exfiltrate)\b[^.!?\n]{0,60}"
    r"\b(?:key|keys|password|secret|token|credentials?|system prompt)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*|\n")
_SPACE = re.compile(r"[ \t]+")


def clean(text: str, longest: int) -> str:
    """`text` without structure, calls and orders to tools, at most `longest` characters long."""
    text = neutralize(escape_control_chars(text))
    text = _FENCE.sub(OMITTED, text)
    text = _CALL.sub(OMITTED, text)
    text = _LINK.sub("[link left out]", text)
    sentences = [OMITTED if _ORDER.search(part) else part for part in _SENTENCE.findall(text)]
    text = _SPACE.sub(" ", "".join(sentences)).strip()
    text = re.sub(rf"(?:{re.escape(OMITTED)}\s*)+", f"{OMITTED} ", text).strip()
    text = re.sub(r"\n{2,}", "\n", text)
    return text if len(text) <= longest else text[: max(0, longest - 1)].rstrip() + "…"


def as_data(text: str, longest: int) -> str:
    """Cleaned text, every line of it behind a bar, so that it cannot pose as anything else."""
    return "\n".join(f"| {line}" for line in clean(text, longest).splitlines() or [""])


def same_words(one: str, other: str) -> bool:
    """Whether two lessons say the same: nine tenths of their words are the same words."""
    ours, theirs = (set(re.findall(r"\w+", text.casefold())) for text in (one, other))
    union = ours | theirs
    return not union or len(ours & theirs) / len(union) >= 0.9
