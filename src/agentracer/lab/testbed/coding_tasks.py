"""Small coding tasks with a reference solution, and known ways to get each of them wrong.

Knows, for each task: its requirements, the sentence of a good plan for each requirement, a
solution, bugs, a slip, and distorted plans together with the code that follows from them. Wrong
code is given as edits of the solution, so that the mistake is the only difference. Does not know
who makes the mistakes (`coding_policy`) or how code is run (`coding_team`).

The examples in a statement are what the tester of a team may run. By design they miss every bug
and every distorted plan, and catch every slip. The hidden cases decide whether a run succeeded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

__all__ = [
    "TASKS",
    "Bug",
    "Case",
    "CodingTask",
    "FlawedPlan",
    "Requirement",
    "code_in",
    "examples_in",
    "task_named_in",
]

Edits = tuple[tuple[str, str], ...]

_EXAMPLE = re.compile(
    r"^    (?P<call>\S.*?)(?: == (?P<value>.+)| raises (?P<error>\w+))$", re.MULTILINE
)
_CODE_BLOCK = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Case:
    """One test: a Python expression and its value, or the exception that it must raise."""

    call: str
    value: str = ""
    error: str = ""

    def __str__(self) -> str:
        return f"{self.call} raises {self.error}" if self.error else f"{self.call} == {self.value}"


@dataclass(frozen=True)
class Requirement:
    """A requirement as the task states it, and as a good plan puts it."""

    text: str
    plan: str


@dataclass(frozen=True)
class Bug:
    """A mistake in code, as edits that turn the solution into the wrong code."""

    mistake: str
    edits: Edits


@dataclass(frozen=True)
class FlawedPlan:
    """A plan that loses or distorts one requirement, and the code that follows it faithfully.

    Attributes:
        mistake: The name of the mistake.
        requirement: Which requirement it is about, counted from 0.
        edits: What the code that follows the plan has different from the solution.
        instead: The plan sentence that replaces the right one; empty when the point is left out.
        keyword: For a point left out: a pattern that a plan matches when it does cover the point.
    """

    mistake: str
    requirement: int
    edits: Edits
    instead: str = ""
    keyword: str = ""

    def is_followed_by(self, plan: str) -> bool:
        """True when somebody who codes by this plan text makes this mistake."""
        if self.instead:
            return self.instead in plan
        return re.search(self.keyword, plan, re.IGNORECASE) is None


@dataclass(frozen=True)
class CodingTask:
    """A function to write; see the module docstring for what the parts are for.

    Attributes:
        function: The name of the function, which also names the task.
        signature: The first line of the function.
        summary: What the function is for, in one sentence.
        requirements: What it has to observe.
        approach: How the coder explains the solution; it says nothing about the requirements.
        solution: Code that is right.
        bugs: Mistakes that the examples do not show.
        slip: A mistake that the examples do show.
        flawed_plans: Ways to lose a requirement; at least one has an `instead` sentence.
        examples: The tests in the statement.
        hidden: The further tests that decide.
    """

    function: str
    signature: str
    summary: str
    requirements: tuple[Requirement, ...]
    approach: str
    solution: str
    bugs: tuple[Bug, ...]
    slip: Bug
    flawed_plans: tuple[FlawedPlan, ...]
    examples: tuple[Case, ...]
    hidden: tuple[Case, ...] = field(repr=False)

    @cached_property
    def statement(self) -> str:
        """The task as the team gets it."""
        requirements = "\n".join(
            f"{number}. {requirement.text}"
            for number, requirement in enumerate(self.requirements, start=1)
        )
        examples = "\n".join(f"    {case}" for case in self.examples)
        return (
            f"Write a Python function `{self.signature}`. {self.summary}\n\n"
            f"Requirements:\n{requirements}\n\nExamples:\n{examples}\n"
        )

    def apply(self, edits: Edits) -> str:
        """The solution with some edits made.

        Raises:
            ValueError: The text to replace is not there exactly once.
        """
        code = self.solution
        for old, new in edits:
            if code.count(old) != 1:
                msg = f"{self.function}: {old!r} occurs {code.count(old)} times, not once"
                raise ValueError(msg)
            code = code.replace(old, new)
        return code


def task_named_in(text: str) -> CodingTask | None:
    """The task whose signature the text states, if it is one of `TASKS`."""
    return next((task for task in TASKS if f"`{task.signature}`" in text), None)


def code_in(reply: str) -> str | None:
    """The last code block of a reply, or None when it has none."""
    blocks: list[str] = _CODE_BLOCK.findall(reply)
    return blocks[-1] if blocks else None


def examples_in(statement: str) -> tuple[Case, ...]:
    """Read the examples out of a task statement; lines that are no examples are skipped."""
    _, _, listed = statement.partition("Examples:\n")
    return tuple(
        Case(match["call"], match["value"] or "", match["error"] or "")
        for match in _EXAMPLE.finditer(listed)
    )


def _swap(old: str, new: str) -> Edits:
    return ((old, new),)


def _drop(old: str) -> Edits:
    return ((old, ""),)


_MERGE_INTERVALS = CodingTask(
    function="merge_intervals",
    signature="merge_intervals(intervals)",
    summary="It takes a list of [start, end] lists and returns the list of merged intervals.",
    requirements=(
        Requirement(
            "The intervals may come in any order; the result is sorted by start.",
            "Walk through the intervals in the order of their starts, whatever order they come in.",
        ),
        Requirement(
            "Intervals that only touch, such as [1, 2] and [2, 3], are merged too.",
            "Merge two intervals also when they only touch, that is, when one starts where the "
            "other ends.",
        ),
        Requirement(
            "The list that is passed in must not be changed.",
            "Work on new lists, so that the caller's input stays unchanged.",
        ),
        Requirement(
            "An interval whose end lies before its start raises ValueError.",
            "Check each interval first and raise ValueError when its end lies before its start.",
        ),
    ),
    approach="I sort the intervals and keep one open interval that grows as long as the next "
    "one belongs to it.",
    solution="""\
def merge_intervals(intervals):
    for start, end in intervals:
        if start > end:
            raise ValueError(f"[{start}, {end}] ends before it starts")
    merged = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return merged
""",
    bugs=(
        Bug(
            "an interval inside another one shrinks it",
            _swap("max(merged[-1][1], end)", "end"),
        ),
        Bug(
            "intervals one apart are merged (off by one)",
            _swap("start <= merged[-1][1]:", "start <= merged[-1][1] + 1:"),
        ),
        Bug(
            "empty intervals such as [3, 3] are rejected (wrong operator)",
            _swap("start > end", "start >= end"),
        ),
    ),
    slip=Bug("bounds swapped in the result", _swap("append([start, end])", "append([end, start])")),
    flawed_plans=(
        FlawedPlan(
            "plan keeps touching intervals apart",
            1,
            _swap("start <= merged", "start < merged"),
            instead="Keep intervals apart that only touch, since they have no stretch in common.",
        ),
        FlawedPlan(
            "plan sorts the caller's list",
            2,
            _swap("    merged = []\n", "    intervals.sort()\n    merged = []\n")
            + _swap("sorted(intervals)", "intervals"),
            instead="Sort the given list in place first, which saves a copy.",
        ),
        FlawedPlan(
            "plan drops the check of the bounds",
            3,
            _drop(
                "    for start, end in intervals:\n        if start > end:\n"
                '            raise ValueError(f"[{start}, {end}] ends before it starts")\n'
            ),
            keyword=r"ValueError|end lies before|ends before",
        ),
    ),
    examples=(
        Case("merge_intervals([[8, 10], [1, 3], [2, 6]])", "[[1, 6], [8, 10]]"),
        Case("merge_intervals([[5, 7], [1, 2]])", "[[1, 2], [5, 7]]"),
        Case("merge_intervals([])", "[]"),
    ),
    hidden=(
        Case("merge_intervals([[1, 9], [2, 3]])", "[[1, 9]]"),
        Case("merge_intervals([[1, 2], [3, 4]])", "[[1, 2], [3, 4]]"),
        Case("merge_intervals([[1, 2], [2, 3]])", "[[1, 3]]"),
        Case("merge_intervals([[3, 3], [1, 2]])", "[[1, 2], [3, 3]]"),
        Case("merge_intervals([[4, 2]])", error="ValueError"),
        Case("(lambda x: (merge_intervals(x), x)[1])([[5, 6], [1, 2]])", "[[5, 6], [1, 2]]"),
    ),
)

_TO_ROMAN = CodingTask(
    function="to_roman",
    signature="to_roman(number)",
    summary="It writes a whole number as a Roman numeral in capital letters.",
    requirements=(
        Requirement(
            "Numbers from 1 to 3999, both included, are allowed.",
            "Accept the numbers from 1 to 3999 inclusive.",
        ),
        Requirement(
            "Any other whole number raises ValueError.",
            "Raise ValueError for whole numbers outside that range, zero and negatives included.",
        ),
        Requirement(
            "4, 9, 40, 90, 400 and 900 use the subtractive forms IV, IX, XL, XC, CD and CM.",
            "Treat the six subtractive forms IV, IX, XL, XC, CD and CM as symbols of their own.",
        ),
        Requirement(
            "A value that is no int, or is a bool, raises TypeError.",
            "Raise TypeError for a bool and for anything else that is not an int.",
        ),
    ),
    approach="I go through a table of values from large to small and take each value as often "
    "as it fits.",
    solution="""\
def to_roman(number):
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError("a whole number is needed")
    if not 1 <= number <= 3999:
        raise ValueError(f"{number} is not between 1 and 3999")
    symbols = [
        (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
        (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
    ]
    numeral = ""
    for value, letters in symbols:
        count, number = divmod(number, value)
        numeral += letters * count
    return numeral
""",
    bugs=(
        Bug("3999 is rejected (upper bound off by one)", _swap("<= 3999", "< 3999")),
        Bug("CD is missing from the table", _drop(' (400, "CD"),')),
        Bug("zero is accepted (lower bound off by one)", _swap("1 <= number", "0 <= number")),
    ),
    slip=Bug("table read from small to large", _swap("in symbols", "in reversed(symbols)")),
    flawed_plans=(
        FlawedPlan(
            "plan writes 4 as IIII",
            2,
            _drop(' (4, "IV"),'),
            instead="Treat IX, XL, XC, CD and CM as symbols of their own, and write 4 as IIII, "
            "which is the older form.",
        ),
        FlawedPlan(
            "plan moves numbers into the range instead of raising",
            1,
            _swap(
                "    if not 1 <= number <= 3999:\n"
                '        raise ValueError(f"{number} is not between 1 and 3999")\n',
                "    number = min(max(number, 1), 3999)\n",
            ),
            instead="Move whole numbers outside that range to its nearest end before converting.",
        ),
        FlawedPlan(
            "plan drops the check of the type",
            3,
            _drop(
                "    if isinstance(number, bool) or not isinstance(number, int):\n"
                '        raise TypeError("a whole number is needed")\n'
            ),
            keyword=r"TypeError|\bbool",
        ),
    ),
    examples=(
        Case("to_roman(9)", "'IX'"),
        Case("to_roman(58)", "'LVIII'"),
        Case("to_roman(1999)", "'MCMXCIX'"),
    ),
    hidden=(
        Case("to_roman(3999)", "'MMMCMXCIX'"),
        Case("to_roman(444)", "'CDXLIV'"),
        Case("to_roman(1)", "'I'"),
        Case("to_roman(0)", error="ValueError"),
        Case("to_roman(4000)", error="ValueError"),
        Case("to_roman(True)", error="TypeError"),
        Case("to_roman(2.0)", error="TypeError"),
    ),
)

_TOP_WORDS = CodingTask(
    function="top_words",
    signature="top_words(text, count)",
    summary="It returns the `count` most frequent words of a text as a list of (word, number) "
    "tuples, the most frequent first.",
    requirements=(
        Requirement(
            "Upper and lower case are not distinguished; words are returned in lower case.",
            "Turn the text into lower case before anything is counted.",
        ),
        Requirement(
            "A word is a run of letters a to z; an apostrophe between letters belongs to it, so "
            "that don't is one word.",
            "Find the words as runs of letters, and keep an apostrophe between letters inside "
            "the word.",
        ),
        Requirement(
            "Words that are equally frequent are sorted alphabetically.",
            "Sort by falling frequency and, among equally frequent words, alphabetically.",
        ),
        Requirement(
            "A negative count raises ValueError.",
            "Raise ValueError when the count is negative.",
        ),
    ),
    approach="I collect the words with a regular expression, count them in a dictionary and sort "
    "the pairs once.",
    solution="""\
import re


def top_words(text, count):
    if count < 0:
        raise ValueError("count must not be negative")
    numbers = {}
    for word in re.findall(r"[a-z]+(?:'[a-z]+)*", text.lower()):
        numbers[word] = numbers.get(word, 0) + 1
    ranked = sorted(numbers.items(), key=lambda pair: (-pair[1], pair[0]))
    return ranked[:count]
""",
    bugs=(
        Bug(
            "ties come in reverse alphabetical order",
            _swap(
                "key=lambda pair: (-pair[1], pair[0])",
                "key=lambda pair: (pair[1], pair[0]), reverse=True",
            ),
        ),
        Bug("count of zero is rejected (wrong operator)", _swap("count < 0", "count <= 0")),
        Bug("only one apostrophe per word is kept", _swap("(?:'[a-z]+)*", "(?:'[a-z]+)?")),
    ),
    slip=Bug("lower case forgotten", _swap("text.lower()", "text")),
    flawed_plans=(
        FlawedPlan(
            "plan sorts ties by first appearance",
            2,
            _swap("(-pair[1], pair[0])", "-pair[1]"),
            instead="Sort by falling frequency and leave equally frequent words in the order in "
            "which they appear in the text.",
        ),
        FlawedPlan(
            "plan drops the apostrophe",
            1,
            _drop("(?:'[a-z]+)*"),
            instead="Find the words as unbroken runs of the letters a to z.",
        ),
        FlawedPlan(
            "plan drops the check of the count",
            3,
            _drop('    if count < 0:\n        raise ValueError("count must not be negative")\n'),
            keyword=r"ValueError|negative",
        ),
    ),
    examples=(
        Case("top_words('The cat saw the dog', 1)", "[('the', 2)]"),
        Case("top_words('go go go stop stop', 2)", "[('go', 3), ('stop', 2)]"),
        Case("top_words('', 3)", "[]"),
    ),
    hidden=(
        Case("top_words('pear fig apple', 2)", "[('apple', 1), ('fig', 1)]"),
        Case("top_words(\"Don't! I don't.\", 1)", '[("don\'t", 2)]'),
        Case("top_words(\"rock'n'roll\", 5)", "[(\"rock'n'roll\", 1)]"),
        Case("top_words('a b', 0)", "[]"),
        Case("top_words('a b', -1)", error="ValueError"),
    ),
)

_DECODE_RUNS = CodingTask(
    function="decode_runs",
    signature="decode_runs(text)",
    summary="It expands a run-length code, in which a number stands before the symbol to repeat.",
    requirements=(
        Requirement(
            "A number may have several digits: '12a' stands for twelve times a.",
            "Collect digits until a symbol comes, because a number may have several digits.",
        ),
        Requirement(
            "A symbol without a number stands for itself, once.",
            "Emit a symbol once when no number stands before it.",
        ),
        Requirement(
            "The number 0 raises ValueError.",
            "Raise ValueError when a number is zero.",
        ),
        Requirement(
            "A number at the end, with no symbol after it, raises ValueError.",
            "Raise ValueError when digits are left over at the end.",
        ),
    ),
    approach="I read the text symbol by symbol and remember the digits seen since the last symbol.",
    solution="""\
def decode_runs(text):
    decoded = []
    digits = ""
    for symbol in text:
        if symbol.isdigit():
            digits += symbol
            continue
        count = int(digits) if digits else 1
        if count == 0:
            raise ValueError(f"a run of zero times {symbol!r}")
        decoded.append(symbol * count)
        digits = ""
    if digits:
        raise ValueError(f"no symbol follows {digits!r}")
    return "".join(decoded)
""",
    bugs=(
        Bug("only the last digit of a number counts", _swap("digits += symbol", "digits = symbol")),
        Bug(
            "a number at the end is ignored",
            _drop('    if digits:\n        raise ValueError(f"no symbol follows {digits!r}")\n'),
        ),
        Bug("only a lone 0 is refused (wrong operand)", _swap("count == 0", 'digits == "0"')),
    ),
    slip=Bug(
        "the count is read but not applied", _swap("append(symbol * count)", "append(symbol)")
    ),
    flawed_plans=(
        FlawedPlan(
            "plan leaves symbols with count zero out",
            2,
            _drop(
                "        if count == 0:\n"
                '            raise ValueError(f"a run of zero times {symbol!r}")\n'
            ),
            instead="Leave a symbol out when the number before it is zero.",
        ),
        FlawedPlan(
            "plan drops numbers of several digits",
            0,
            _swap("digits += symbol", "digits = symbol"),
            instead="Remember the digit that stands before a symbol.",
        ),
        FlawedPlan(
            "plan drops the check at the end",
            3,
            _drop('    if digits:\n        raise ValueError(f"no symbol follows {digits!r}")\n'),
            keyword=r"left over|at the end|trailing",
        ),
    ),
    examples=(
        Case("decode_runs('3a2b')", "'aaabb'"),
        Case("decode_runs('ab3c')", "'abccc'"),
        Case("decode_runs('')", "''"),
    ),
    hidden=(
        Case("decode_runs('12a')", "'aaaaaaaaaaaa'"),
        Case("decode_runs('2 10-')", "'  ----------'"),
        Case("decode_runs('a0b')", error="ValueError"),
        Case("decode_runs('00b')", error="ValueError"),
        Case("decode_runs('ab3')", error="ValueError"),
    ),
)

_DAY_OF_YEAR = CodingTask(
    function="day_of_year",
    signature="day_of_year(year, month, day)",
    summary="It returns the number of the day in its year, where 1 January is 1.",
    requirements=(
        Requirement(
            "A year is a leap year when 4 divides it.",
            "A year that 4 divides is a leap year, with 29 days in February.",
        ),
        Requirement(
            "As an exception, a year that 100 divides is a leap year only when 400 divides it.",
            "Century years are the exception: they are leap years only when 400 divides them.",
        ),
        Requirement(
            "A month or a day that does not exist in that year raises ValueError.",
            "Raise ValueError for a month outside 1 to 12 and for a day that this month does not "
            "have in this year.",
        ),
        Requirement(
            "The datetime and calendar modules must not be used.",
            "Do the arithmetic by hand, without datetime and calendar.",
        ),
    ),
    approach="I add up the lengths of the months before the given one and then the day.",
    solution="""\
def day_of_year(year, month, day):
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    lengths = [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    if not 1 <= month <= 12:
        raise ValueError(f"there is no month {month}")
    if not 1 <= day <= lengths[month - 1]:
        raise ValueError(f"month {month} of {year} has no day {day}")
    return sum(lengths[: month - 1]) + day
""",
    bugs=(
        Bug(
            "years that 400 divides are no leap years",
            _swap("(year % 100 != 0 or year % 400 == 0)", "year % 100 != 0"),
        ),
        Bug("any day up to 31 is accepted", _swap("day <= lengths[month - 1]", "day <= 31")),
        Bug("day 0 is accepted (boundary)", _swap("1 <= day", "0 <= day")),
    ),
    slip=Bug("the given month is counted too", _swap("[: month - 1]", "[:month]")),
    flawed_plans=(
        FlawedPlan(
            "plan makes every century year a common year",
            1,
            _swap("(year % 100 != 0 or year % 400 == 0)", "year % 100 != 0"),
            instead="Century years are the exception: they are never leap years.",
        ),
        FlawedPlan(
            "plan drops the century rule",
            1,
            _drop(" and (year % 100 != 0 or year % 400 == 0)"),
            keyword=r"centur|\b[14]00\b",
        ),
        FlawedPlan(
            "plan checks the month only",
            2,
            _drop(
                "    if not 1 <= day <= lengths[month - 1]:\n"
                '        raise ValueError(f"month {month} of {year} has no day {day}")\n'
            ),
            instead="Raise ValueError for a month outside 1 to 12.",
        ),
    ),
    examples=(
        Case("day_of_year(2023, 3, 1)", "60"),
        Case("day_of_year(2024, 3, 1)", "61"),
        Case("day_of_year(2023, 12, 31)", "365"),
    ),
    hidden=(
        Case("day_of_year(2000, 12, 31)", "366"),
        Case("day_of_year(1900, 3, 1)", "60"),
        Case("day_of_year(2023, 2, 29)", error="ValueError"),
        Case("day_of_year(2023, 4, 31)", error="ValueError"),
        Case("day_of_year(2023, 1, 0)", error="ValueError"),
        Case("day_of_year(2023, 13, 1)", error="ValueError"),
    ),
)

_FIRST_UNBALANCED = CodingTask(
    function="first_unbalanced",
    signature="first_unbalanced(text)",
    summary="It returns the index of the first bracket that has no partner, or -1 when all have.",
    requirements=(
        Requirement(
            "The brackets are ( ), [ ] and { }, and each closes its own kind only; other "
            "characters are passed over.",
            "Keep the open brackets on a stack and compare each closing bracket with the kind on "
            "top.",
        ),
        Requirement(
            "A closing bracket that does not fit is the answer at once.",
            "Return the index of a closing bracket as soon as it does not fit.",
        ),
        Requirement(
            "When brackets stay open at the end, the answer is the one among them that was "
            "opened first.",
            "At the end, return the index of the bracket that was opened first among those still "
            "open, or -1.",
        ),
        Requirement(
            'Brackets between double quotes (") are text and do not count.',
            "Pass over everything between double quotes.",
        ),
    ),
    approach="I keep a stack of the open brackets with their positions and look at its top "
    "whenever a bracket closes.",
    solution="""\
def first_unbalanced(text):
    partner = {")": "(", "]": "[", "}": "{"}
    opened = []
    quoted = False
    for index, symbol in enumerate(text):
        if symbol == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif symbol in "([{":
            opened.append((symbol, index))
        elif symbol in partner:
            if not opened or opened[-1][0] != partner[symbol]:
                return index
            opened.pop()
    return opened[0][1] if opened else -1
""",
    bugs=(
        Bug("the bracket opened last is reported", _swap("opened[0][1]", "opened[-1][1]")),
        Bug(
            "kinds of brackets are not compared",
            _swap("if not opened or opened[-1][0] != partner[symbol]:", "if not opened:"),
        ),
        Bug("a quote never ends", _swap("quoted = not quoted", "quoted = True")),
    ),
    slip=Bug("0 is returned for balanced text", _swap("else -1", "else 0")),
    flawed_plans=(
        FlawedPlan(
            "plan reports the bracket opened last",
            2,
            _swap("opened[0][1]", "opened[-1][1]"),
            instead="At the end, return the index of the bracket on top of the stack, or -1 when "
            "the stack is empty.",
        ),
        FlawedPlan(
            "plan counts brackets without their kind",
            0,
            _swap("if not opened or opened[-1][0] != partner[symbol]:", "if not opened:"),
            instead="Count brackets up and down; the kind does not matter for the balance.",
        ),
        FlawedPlan(
            "plan drops the quotes",
            3,
            _swap(
                "        if symbol == '\"':\n            quoted = not quoted\n"
                '        elif quoted:\n            continue\n        elif symbol in "([{":',
                '        if symbol in "([{":',
            )
            + _drop("    quoted = False\n"),
            keyword=r"quot",
        ),
    ),
    examples=(
        Case("first_unbalanced('f(a[0], {b})')", "-1"),
        Case("first_unbalanced('a)')", "1"),
        Case("first_unbalanced('x = [1, 2')", "4"),
    ),
    hidden=(
        Case("first_unbalanced('([')", "0"),
        Case("first_unbalanced('(]')", "1"),
        Case("first_unbalanced('(\")\")')", "-1"),
        Case("first_unbalanced('\"a\" (')", "4"),
        Case("first_unbalanced('')", "-1"),
    ),
)

_SPLIT_BILL = CodingTask(
    function="split_bill",
    signature="split_bill(cents, people)",
    summary="It splits an amount in whole cents among some people and returns the list of shares.",
    requirements=(
        Requirement(
            "The shares add up to the amount exactly.",
            "Divide with remainder, so that the shares add up to the amount.",
        ),
        Requirement(
            "No two shares differ by more than one cent.",
            "Hand out the remainder one cent at a time, so that shares differ by one cent at most.",
        ),
        Requirement(
            "The larger shares come first in the list.",
            "Put the shares that got an extra cent at the front of the list.",
        ),
        Requirement(
            "Fewer than one person, or a negative amount, raises ValueError.",
            "Raise ValueError for fewer than one person and for a negative amount.",
        ),
    ),
    approach="I divide with remainder and build the list from two blocks of equal shares.",
    solution="""\
def split_bill(cents, people):
    if people < 1 or cents < 0:
        raise ValueError("nobody to pay, or nothing to be paid")
    share, extra = divmod(cents, people)
    return [share + 1] * extra + [share] * (people - extra)
""",
    bugs=(
        Bug("an amount of zero is rejected (wrong operator)", _swap("cents < 0", "cents <= 0")),
        Bug("a single person is rejected (off by one)", _swap("people < 1", "people <= 1")),
        Bug(
            "the whole remainder goes to the first person",
            _swap(
                "[share + 1] * extra + [share] * (people - extra)",
                "[share + extra] + [share] * (people - 1)",
            ),
        ),
    ),
    slip=Bug("the arguments are in the wrong order", _swap("(cents, people):", "(people, cents):")),
    flawed_plans=(
        FlawedPlan(
            "plan puts the larger shares last",
            2,
            _swap(
                "[share + 1] * extra + [share] * (people - extra)",
                "[share] * (people - extra) + [share + 1] * extra",
            ),
            instead="Put the shares that got an extra cent at the back of the list.",
        ),
        FlawedPlan(
            "plan rounds every share",
            0,
            _drop("    share, extra = divmod(cents, people)\n")
            + _swap(
                "[share + 1] * extra + [share] * (people - extra)",
                "[round(cents / people)] * people",
            ),
            instead="Divide the amount by the number of people and round each share to a cent.",
        ),
        FlawedPlan(
            "plan drops the check of the arguments",
            3,
            _drop(
                "    if people < 1 or cents < 0:\n"
                '        raise ValueError("nobody to pay, or nothing to be paid")\n'
            ),
            keyword=r"ValueError|negative",
        ),
    ),
    examples=(
        Case("split_bill(900, 3)", "[300, 300, 300]"),
        Case("split_bill(1000, 4)", "[250, 250, 250, 250]"),
        Case("split_bill(14, 2)", "[7, 7]"),
    ),
    hidden=(
        Case("split_bill(1001, 4)", "[251, 250, 250, 250]"),
        Case("split_bill(11, 4)", "[3, 3, 3, 2]"),
        Case("split_bill(0, 2)", "[0, 0]"),
        Case("split_bill(5, 1)", "[5]"),
        Case("split_bill(5, 0)", error="ValueError"),
        Case("split_bill(-4, 2)", error="ValueError"),
    ),
)

TASKS: tuple[CodingTask, ...] = (
    _MERGE_INTERVALS,
    _TO_ROMAN,
    _TOP_WORDS,
    _DECODE_RUNS,
    _DAY_OF_YEAR,
    _FIRST_UNBALANCED,
    _SPLIT_BILL,
)
