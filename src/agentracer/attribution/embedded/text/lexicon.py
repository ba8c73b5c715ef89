"""Words that show what a step does, in classes. Single lower-case words, English.

The classes are about what a step does (make up, doubt, fail, correct). No word is particular to a
domain, a framework or an agent; phrases that are stand in `system_conventions`.
"""

from __future__ import annotations

__all__ = ["STOPWORDS", "VAGUE_NAMES", "WORD_CLASSES"]

WORD_CLASSES: dict[str, frozenset[str]] = {
    name: frozenset(words.split())
    for name, words in {
        # States something that was not looked up.
        "invents": """assume assumed assumes assuming assumption assumptions hypothetical
            hypothetically simulate simulated simulating simulation placeholder placeholders mock
            mocked dummy fictional fictitious illustrative pretend presume presumed presumably
            suppose sample demonstration fabricated imaginary invented synthetic""",
        # Says that something did not work.
        "fails": """unable cannot couldn failed fails fail failure unfortunately unavailable missing
            inaccessible nothing empty error errors exception denied blocked forbidden timeout
            none unsuccessful limitation limitations didn doesn wasn""",
        # Says that something was wrong.
        "corrects": """sorry apologize apologies apologise mistake mistakes incorrect incorrectly
            wrong correction corrected revise revised oversight misunderstanding misinterpreted
            discrepancy however instead actually issue issues fix reattempt retry""",
        # Hands the work back to people.
        "manual": "manual manually inspect inspection yourself visually browse",
    }.items()
}

_COMMON = """the of and to in is for that on with as are was by it be this from at an or which have
has had not but we can you will if all what when where who how many much does do did were there
their its they he she his her than then into about after before between each any some no one two
three please give provide using use your answer question number name list only"""
_VAGUE = """step page line figure number result example option row item index part round turn
chapter section task plan note count exit code exitcode level version width height size value"""

STOPWORDS = frozenset(_COMMON.split())
"""Words too common to compare two texts by."""

VAGUE_NAMES = frozenset(_VAGUE.split())
"""Names that may have another value each time that they are mentioned."""
