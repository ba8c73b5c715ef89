"""Write untrusted text to a console.

Every string of a run passes through `escape_control_chars` into a `rich.text.Text`, which
interprets no markup and no links. Text that is cut is counted.
"""

from __future__ import annotations

import json

from pydantic import JsonValue
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentracer.escaping import escape_control_chars
from agentracer.report import formatting
from agentracer.trace import ErrorInfo

__all__ = [
    "ACCENT",
    "ConsoleWriter",
    "arguments_of",
    "compact",
    "flat",
    "outcome_of",
    "plain",
    "print_error",
]

ACCENT = "bold red"
_WIDEST = 100  # longer lines are hard to read
_NO_LEAD = Text()
# The white space that stays after escaping; the rest of it is shown as escapes.
_BLANKS = "".join(["\t\n \xa0\u1680", *map(chr, range(0x2000, 0x200B)), "\u202f\u205f\u3000"])


class ConsoleWriter:
    """Write wrapped lines of untrusted text to a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.width = max(20, min(console.width, _WIDEST))

    def blank(self) -> None:
        """Write an empty line."""
        self._console.print()

    def line(self, *parts: Text, indent: int = 0) -> None:
        """Write one logical line, wrapped."""
        for row in self._wrap(Text.assemble(*parts), indent):
            self._put(row, indent)

    def text(
        self, value: str, *, indent: int = 0, rows: int, style: str = "", lead: Text = _NO_LEAD
    ) -> None:
        """Write a text in at most `rows` rows, the first after `lead`; count what is cut.

        Only what is shown is escaped and wrapped, so the cost does not grow with a long text.
        """
        # Not splitlines: it would swallow the control characters that it splits at.
        text = value.replace("\r\n", "\n").strip("\n").rstrip(_BLANKS)
        left = rows
        indent += lead.cell_len
        start, count = 0, text.count("\n") + 1
        for number in range(count):
            end = text.find("\n", start)
            most = left * self.width
            line = escape_control_chars(text[start : min(_end(text, end), start + most + 1)])
            start = end + 1
            wrapped = self._wrap(Text(line[:most], style), indent)
            for row in wrapped[:left]:
                self._put(row, indent, lead)
                lead = _NO_LEAD
            cut = len(line) > most or len(wrapped) > left
            left -= len(wrapped)
            if left > 0 and not cut:
                continue
            rest = count - number - 1
            if rest or cut:
                lines_left = f"… {formatting.plural(rest, 'more line')}"
                more = lines_left if rest else "… the rest of the line"
                self._put(plain(more, "dim"), indent)
            return

    def table(self, table: Table) -> None:
        """Write a table as wide as the text."""
        for row in self._console.render_lines(
            table, self._console.options.update(width=self.width)
        ):
            text = Text.assemble(*((part.text, part.style or "") for part in row))
            text.rstrip()
            self._put(text, 0)

    def _wrap(self, text: Text, indent: int) -> list[Text]:
        width = max(10, self.width - indent)
        if "\n" not in text.plain and "\t" not in text.plain and text.cell_len <= width:
            return [text]  # as `wrap` would return it, at a tenth of the time
        return list(text.wrap(self._console, width))

    def _put(self, row: Text, indent: int, lead: Text = _NO_LEAD) -> None:
        line = Text.assemble(" " * (indent - lead.cell_len), lead, row)
        line.rstrip()
        self._console.print(line, no_wrap=True, crop=False, overflow="ignore")


def _end(text: str, newline: int) -> int:
    """The end of a line whose newline `find` looked for."""
    return newline if newline >= 0 else len(text)


def plain(text: str, style: str = "") -> Text:
    """Return untrusted text as rich text without control characters, markup or links."""
    return Text(escape_control_chars(text), style=style)


def outcome_of(words: str) -> Text:
    """Style the outcome of a run; a failure stands out."""
    style = "bold" if words.startswith("failed") else ""
    return plain(words, style)


def print_error(error: ErrorInfo, writer: ConsoleWriter, *, indent: int) -> None:
    """Write an error: its type and message."""
    writer.text(f"{error.type}: {error.message}", indent=indent, rows=3, style="bold")


def arguments_of(value: JsonValue) -> str:
    """Format arguments as in a call."""
    if isinstance(value, dict):
        return ", ".join(
            f"{key}={json.dumps(item, ensure_ascii=False)}" for key, item in value.items()
        )
    return "" if value is None else compact(value)


def compact(value: JsonValue) -> str:
    """Return a string unchanged, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def flat(text: str) -> str:
    """Escape control characters and join all lines to one."""
    return " ".join(escape_control_chars(text).split())
