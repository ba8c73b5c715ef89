"""Write forty short documents about an invented coast: people, towns, firms and books.

The facts, all invented, are the rows of `data/documents.toml`; one document is written from each,
so that what it says about every relation is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import ConfigDict

from agentracer.lab.testbed.data import load

__all__ = ["DOCUMENTS", "Document", "Kind", "by_title", "read_text", "search_text"]

Kind = str
"""`person`, `town`, `firm` or `book`; also `number` and `thing`, which have no document."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document.

    Attributes:
        id: its name in the collection.
        title: what it is about.
        kind: what that is.
        text: what it says.
        facts: by relation, what it says about it, as (value, kind of value).
    """

    id: str
    title: str
    kind: Kind
    text: str
    facts: Mapping[str, tuple[str, Kind]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Person:
    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    birthplace: str
    year_of_birth: int
    teacher: str
    place_of_death: str
    employer: str
    craft: str

    def document(self, key: str) -> Document:
        text = (
            f"{self.name} was {self.craft}. Born in {self.year_of_birth} in {self.birthplace}, the "
            f"second of five children, {self.name} learned the craft from {self.teacher}. The "
            f"working years were spent with {self.employer}. {self.name} died in "
            f"{self.place_of_death}."
        )
        facts = {
            "birthplace": (self.birthplace, "town"),
            "year of birth": (str(self.year_of_birth), "number"),
            "teacher": (self.teacher, "person"),
            "employer": (self.employer, "firm"),
            "place of death": (self.place_of_death, "town"),
        }
        return Document(key, self.name, "person", text, facts)


@dataclass(frozen=True)
class _Town:
    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    river: str
    twin_town: str
    year_of_foundation: int
    inhabitants: int
    first_mayor: str
    sight: str

    def document(self, key: str) -> Document:
        text = (
            f"{self.name} is a town on {self.river}, known for {self.sight}. It was founded in "
            f"{self.year_of_foundation} and has {self.inhabitants} inhabitants today. Its twin "
            f"town is {self.twin_town}. The first mayor who was elected by all citizens was "
            f"{self.first_mayor}."
        )
        facts = {
            "river": (self.river, "thing"),
            "twin town": (self.twin_town, "town"),
            "year of foundation": (str(self.year_of_foundation), "number"),
            "number of inhabitants": (str(self.inhabitants), "number"),
            "first elected mayor": (self.first_mayor, "person"),
        }
        return Document(key, self.name, "town", text, facts)


@dataclass(frozen=True)
class _Firm:
    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    founder: str
    seat: str
    year_of_foundation: int
    product: str
    director: str

    def document(self, key: str) -> Document:
        text = (
            f"{self.name} was founded by {self.founder} in {self.year_of_foundation} to make "
            f"{self.product}. The firm has had its seat in {self.seat} ever since. Its best known "
            f"director was {self.director}, who doubled the output within a few years."
        )
        facts = {
            "founder": (self.founder, "person"),
            "seat": (self.seat, "town"),
            "year of foundation": (str(self.year_of_foundation), "number"),
            "product": (self.product, "thing"),
            "best known director": (self.director, "person"),
        }
        return Document(key, self.name, "firm", text, facts)


@dataclass(frozen=True)
class _Book:
    __pydantic_config__ = ConfigDict(extra="forbid")

    title: str
    author: str
    publisher: str
    year_of_publication: int
    setting: str

    def document(self, key: str) -> Document:
        text = (
            f"{self.title} is a book by {self.author}. It is set in {self.setting} and appeared "
            f"with {self.publisher} in {self.year_of_publication}. The first printing was sold out "
            "before the end of the month."
        )
        facts = {
            "author": (self.author, "person"),
            "publisher": (self.publisher, "firm"),
            "year of publication": (str(self.year_of_publication), "number"),
            "setting": (self.setting, "town"),
        }
        return Document(key, self.title, "book", text, facts)


@dataclass(frozen=True)
class _DocumentFile:
    __pydantic_config__ = ConfigDict(extra="forbid")

    people: tuple[_Person, ...]
    towns: tuple[_Town, ...]
    firms: tuple[_Firm, ...]
    books: tuple[_Book, ...]


def _documents() -> tuple[Document, ...]:
    file = load("documents.toml", _DocumentFile)
    rows: list[_Person | _Town | _Firm | _Book]
    rows = [*file.people, *file.towns, *file.firms, *file.books]
    return tuple(row.document(f"doc-{number:02d}") for number, row in enumerate(rows, start=1))


DOCUMENTS: Final = _documents()
"""The collection."""

_BY_TITLE: Final = {document.title: document for document in DOCUMENTS}
_BY_ID: Final = {document.id: document for document in DOCUMENTS}


def by_title(title: str) -> Document | None:
    """The document about something."""
    return _BY_TITLE.get(title)


def search_text(query: str, *, limit: int = 4) -> str:
    """The best documents for some words, one line each; titles count three times."""
    words = set(re.findall(r"\w{3,}", query.lower())) - {"the", "and", "for"}
    scored = []
    for document in DOCUMENTS:
        title = re.findall(r"\w+", document.title.lower())
        body = set(re.findall(r"\w+", document.text.lower()))
        exact = document.title.lower() in query.lower()
        score = 3 * len(words & set(title)) + len(words & body) + 5 * exact
        if score:
            scored.append((-score, document.id, document))
    best = [document for _, _, document in sorted(scored)[:limit]]
    lines = [f"{d.id} | {d.title} | {d.text.partition('. ')[0]}." for d in best]
    return "\n".join(lines) or "Nothing found."


def read_text(document: str) -> str:
    """The text of a document, under its title."""
    match = _BY_ID.get(document.strip().lower())
    return f"{match.title}\n\n{match.text}" if match else f"There is no document {document!r}."
