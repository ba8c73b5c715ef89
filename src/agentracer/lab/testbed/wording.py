"""How the scripted agents talk around the lines that matter.

A slip changes a line, never the talk: the talk of a wrong reply is that of the right one, so that
nothing but the mistake tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["TALK"]

_COMMON: dict[str, tuple[str, ...]] = {
    "plan opening": (
        "Here is how I would go about it:",
        "I read the task twice. These are the steps:",
        "Let us take it in small steps:",
        "My plan:",
        "The task comes apart into these pieces:",
        "I suggest this order:",
    ),
    "plan closing": (
        "Each step uses only what the task says or what an earlier step gives.",
        "The last step gives the answer.",
        "Please go through them one by one.",
        "That should be all we need.",
        "Nothing else in the task matters for the answer, as far as I see.",
        "Please keep to the letters, so that we do not mix anything up.",
    ),
    "ask for plan": (
        "Let us begin with a plan.",
        "Before anybody starts I want to see the steps.",
        "First the steps, please.",
        "Please split the task for the others.",
    ),
    "ask for check": (
        "All steps have a result. Please go over them.",
        "I think that we have everything; please check it.",
        "Please have a look at the results before we answer.",
        "Now I would like a second pair of eyes on this.",
    ),
    "order": (
        "Next, please do this one:",
        "Please take this step:",
        "This is the next thing that we need:",
        "Could you do the following?",
        "Here is your step:",
        "Thanks so far. The next one is this:",
    ),
    "check passed": (
        "I went through the steps again and agree.",
        "I worked it out independently and get the same.",
        "No objection from my side.",
        "This follows from the steps, as far as there are results.",
        "Looks right to me.",
        "Checked; nothing has to be changed.",
    ),
    "check failed": (
        "I cannot agree with all of it.",
        "Something is not right here.",
        "I get something else, so please do this again:",
        "Before we go on, this has to be repaired:",
    ),
    "all results": (
        "All steps are done. The results again:",
        "That was the last step. In short:",
        "Everything is worked out:",
    ),
    "report": (
        "With all steps done, this is the answer.",
        "Putting the results together:",
        "We are done. The answer:",
        "Here is what the results add up to.",
        "Summing up:",
    ),
}
_RESULTS: dict[str, tuple[str, ...]] = {
    "math": (
        "I worked it out.",
        "That gives the following.",
        "Done.",
        "Here is the number.",
        "This is what I get for the step.",
        "The calculation is short.",
    ),
    "qa": (
        "This is what I found.",
        "The collection has it.",
        "Found it.",
        "Here is what I could find out for this step.",
        "As far as the documents say:",
        "That was in the documents.",
    ),
    "coding": (
        "Here is the function.",
        "I wrote it as the step says.",
        "This is my implementation.",
        "The code for this step:",
        "Nothing beyond the standard library is needed.",
        "Done; it keeps the signature.",
    ),
}

TALK: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    (domain, what): phrases
    for domain, results in _RESULTS.items()
    for what, phrases in {**_COMMON, "result": results}.items()
}
"""Phrases by domain and occasion."""
