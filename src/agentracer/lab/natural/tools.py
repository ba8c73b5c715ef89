"""The tools of the natural teams, by kind of task. They are pure but for `run_code`, a sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable

from agentracer.lab.natural.tasks import Kind, load_documents
from agentracer.lab.sandbox import ExecutionLimits, run_python
from agentracer.lab.testbed.arithmetic import UNDEFINED
from agentracer.lab.testbed.arithmetic import calculate as evaluate

__all__ = ["calculate", "read_document", "run_code", "search_documents", "tools_for"]

_CODE_LIMITS = ExecutionLimits(wall_seconds=60.0, cpu_seconds=3.0)
_MAX_OUTPUT = 1500


def calculate(expression: str) -> str:
    """Calculate an arithmetic expression such as (12 + 3) * 4 and return its value.

    Args:
        expression: numbers, + - * / and parentheses.
    """
    value = evaluate(expression)
    if value == UNDEFINED:
        return f"Cannot calculate {expression!r}; use numbers, + - * / and parentheses only."
    return value


def run_code(code: str) -> str:
    """Run a Python program and return what it prints, or the error.

    Args:
        code: the whole program.
    """
    execution = run_python(code, limits=_CODE_LIMITS)
    output = (execution.stdout + execution.stderr)[-_MAX_OUTPUT:].strip()
    if execution.stopped_by:
        return f"{output}\nThe program was stopped by its {execution.stopped_by} limit.".strip()
    return output or "The program ended and printed nothing."


def search_documents(query: str) -> str:
    """Search the documents for words; returns ids and titles of the best matches.

    Args:
        query: some words.
    """
    words = set(re.findall(r"\w+", query.lower()))
    scores = {}
    for document in load_documents():
        title, body = (set(re.findall(r"\w+", t.lower())) for t in (document.title, document.text))
        score = 3 * len(words & title) + len(words & body)
        if score:
            scores[document.id] = (-score, document.title)
    best = sorted(scores, key=lambda name: scores[name])[:4]
    return (
        "\n".join(f"{name}: {scores[name][1]}" for name in best) or "No document has these words."
    )


def read_document(document_id: str) -> str:
    """Read a document by its id.

    Args:
        document_id: an id from search_documents.
    """
    documents = {document.id: document for document in load_documents()}
    document = documents.get(document_id.strip())
    if document is None:
        return f"There is no document {document_id!r}. Use an id from search_documents."
    return f"{document.title}\n\n{document.text}"


def tools_for(kind: Kind) -> list[Callable[..., str]]:
    """Return the tools that a team has for tasks of a kind."""
    if kind == "code":
        return [run_code]
    if kind == "document":
        return [search_documents, read_document]
    return [calculate]
