"""Phrases and formats of particular frameworks, benchmarks and of the testbed.

Everything in the other modules of `text` and `checks` is meant for any system that works in
English. What was written with a particular system in view stands here, so that it can be seen, and
changed for another one:

- AutoGen's code executor and its way to end a chat;
- Magentic-One's web surfer;
- habits of the agents in the logs of Who&When;
- the word problems of GSM8K;
- the names of parts that the teams of the testbed agree on.
"""

from __future__ import annotations

import re

__all__ = [
    "AGREEMENT_PHRASES",
    "BROWSER_ACTION",
    "CHAT_END",
    "CODE_SPAN",
    "CONCLUSION_PHRASES",
    "ERROR_MARKS",
    "EXECUTION_REPORT",
    "FAILED_EXECUTION",
    "FIGURES_OF_ANY_TASK",
    "HANDED_OVER_MATERIAL",
    "NOTHING_TO_RUN",
    "PART_WORDS",
    "REMARK",
    "REPORT_HEAD",
    "REQUESTED_FUNCTION",
    "SPELLED_FIGURES",
    "without_thought_mark",
]

# --- AutoGen -----------------------------------------------------------------------------------

NOTHING_TO_RUN = r"no code\b[^.\n]{0,60}\bto execute\b"
"""How an executor says that it was given nothing to run; a pattern."""

REPORT_HEAD = 200
"""Characters at its top in which an execution report is recognised: workers quote such reports
further down."""

EXECUTION_REPORT = re.compile(
    rf"\bexit ?code\W{{1,3}}-?\d|\AT?raceback \(most recent|\b{NOTHING_TO_RUN}",
    re.IGNORECASE,
)
"""How a report of an execution begins: an exit code, a traceback, or nothing to run."""

FAILED_EXECUTION = re.compile(
    r"\bexit ?code\W{1,3}-?[1-9]|^Traceback \(most recent", re.MULTILINE | re.IGNORECASE
)
"""How the report of a failed execution begins."""

ERROR_MARKS = ("Error", "exitcode")
"""What stands in the line of a failed execution that is worth quoting."""

CHAT_END = re.compile(r"(?<!\W)\W*\b(?:TERMINATE|DONE|STOP|END)\W*\Z")
"""The word with which an agent ends a chat, behind its last sentence."""

# --- Magentic-One ------------------------------------------------------------------------------

BROWSER_ACTION = re.compile(
    r"\s*(?:i (?:clicked|typed|scrolled|hovered|opened|visited|navigated|pressed|selected|waited)\b"
    r"|address: \S)"
)
"""How an agent that drives a browser begins its report, in lower case: the page follows."""

# --- Who&When ----------------------------------------------------------------------------------

HANDED_OVER_MATERIAL = (
    r"here (?:is|are) the (?:\w+ ){0,3}(?:transcript(?:ion)?|results?|details|findings?|data|"
    r"lyrics|text|information)\b"
)
"""How an agent hands over material that it says it obtained; a pattern, in lower case."""

CONCLUSION_PHRASES = r"boxed"
"""Marks of a final answer; a pattern, in lower case."""

AGREEMENT_PHRASES = r"- correct\b"
"""How a list of checked points agrees; a pattern, in lower case."""


def without_thought_mark(agent: str) -> str:
    """The name of an agent without what a log adds to it, as in `Orchestrator (thought)`."""
    return agent.split(" (", 1)[0].strip()


# --- GSM8K -------------------------------------------------------------------------------------

_SPELLED = """zero:0 one:1 two:2 three:3 four:4 five:5 six:6 seven:7 eight:8 nine:9 ten:10 eleven:11
twelve:12 half:2 twice:2 double:2 triple:3 thrice:3 dozen:12 quarter:4 third:3 week:7 hour:60
minutes:60 year:12"""

SPELLED_FIGURES = dict(pair.split(":") for pair in _SPELLED.split())
"""Words of a word problem -> the figure that a formula for it may use."""

FIGURES_OF_ANY_TASK = frozenset({"1", "100", "2"})
"""Figures that a formula may use although the task does not state them."""

# --- The testbed -------------------------------------------------------------------------------

PART_WORDS = r"(?:step|part|item|subtask|task|stage|phase|question|result|value)"
"""What stands before the name of a part (`Step A: ...`, `Part 2: ...`); a pattern."""

REMARK = re.compile(r"(?<![ \t])[ \t]+(?:--|—|–|\||//|#)[ \t]+|(?<![ \t])[ \t]+given[ \t]|</\w+>")
"""What separates the definition of a part from what is said about it."""

CODE_SPAN = re.compile(r"`[^`\n]*`")
"""Code inside a sentence: a part of a plan that holds some is an order to write it."""

REQUESTED_FUNCTION = re.compile(r"[`\s]([a-zA-Z_]\w*)\([^()\n]*\)`|\bdef ([a-zA-Z_]\w*)\(")
"""A function that a task asks for: `name(arguments)` in backticks, or the first line of one."""
