r"""Escape characters in untrusted text that a reader does not see.

Such text can hold characters that a reader does not see but that a terminal or a browser obeys:
escape sequences that move the cursor, rewrite the window title or fill the clipboard, overrides
that turn the reading direction round, and invisible characters that hide a payload. `visible`
shows each of them as the escape that Python would write (`\x1b`, `\u202e`).

It does not escape markup: the caller must still use plain text objects (`rich.text.Text`,
`textContent`). `assets/text.js` holds the same ranges; a browser test compares the two over all
of Unicode.
"""

from __future__ import annotations

import re

__all__ = ["CONTROL_CHARS", "escape_control_chars"]

CONTROL_CHARS = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but for tab and newline, DEL, C1
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, fillers, Mongolian
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, line separators, bidi controls
    r"\u3164\ufeff\uffa0\ufff0-\uffff"  # fillers, byte order mark, annotations, noncharacters
    r"\ud800-\udfff"  # a lone surrogate cannot be encoded at all
    r"\ufe00-\ufe0d\U0001d173-\U0001d17a"  # variation selectors, but for the two of emoji
    r"\U000e0000-\U000e0fff"  # tags and more variation selectors: whole messages hide in them
)
"""What is shown as an escape, as the inside of a character class of a regular expression.

U+FFFC and U+FFFD (object and replacement character) are visible and fall out of this again in
`visible`; they are in one range with their neighbours for brevity.
"""

_CONTROL_CHARS = re.compile(f"(?![\\ufffc\\ufffd])[{CONTROL_CHARS}]")


def escape_control_chars(text: str) -> str:
    r"""`text` with every character that drives or hides shown as a Python escape.

    Newline and tab stay. A Windows line end becomes a newline; any other carriage return, which
    would let a line overwrite itself in a terminal, becomes `\r`.
    """
    return _CONTROL_CHARS.sub(_escape, text.replace("\r\n", "\n"))


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    if character == "\r":
        return r"\r"
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
