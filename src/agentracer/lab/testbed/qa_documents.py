"""Forty short documents about an invented coast: people, towns, firms and books.

Everything in them is made up. Each document is written from a row of facts, so that what it says
about every relation is known; names resemble each other on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

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


_PEOPLE = """\
Anna Velten|Marren|1871|Ivo Brandt|Tolsund|Halden Works|a builder of organs
Anton Velten|Port Marren|1874|Ida Sorel|Grauhafen|Velten and Sons|a maker of ships' clocks
Ivo Brandt|Tolsund|1839|Clara Mohn|Marren|Nordlicht Press|a teacher of drawing
Ida Sorel|Grauhafen|1845|Ivo Brandt|Eskil|Sorel Cannery|an engineer
Clara Mohn|Eskil|1812|Jonas Reiter|Port Marren|Kelp and Company|a botanist
Jonas Reiter|Lindau Mole|1790|Peter Sorel|Tolsund|Reiter Foundry|a founder of bells
Peter Sorel|Grauhafen|1768|Maria Holt|Lindau Mole|Reiter Foundry|a pilot
Maria Holt|Vesterby|1741|Jonas Reiter|Grauhafen|Kelp and Company|a surveyor
Marta Holt|Port Marren|1902|Anna Velten|Vesterby|Nordlicht Press|a journalist
Karl Eibner|Vesterby|1888|Marta Holt|Sandwick|Halden Works|a mechanic
Carla Eibner|Sandwick|1911|Anton Velten|Marren|Blue Lantern|a printer
Tomas Grell|Oberfurt|1856|Ida Sorel|Eskil|Grell Brothers|a brewer
Theo Grell|Eskil|1861|Clara Mohn|Oberfurt|Grell Brothers|a chemist
Lena Ostrow|Sandwick|1925|Carla Eibner|Port Marren|Blue Lantern|a writer"""

_TOWNS = """\
Marren|the Alder|Port Marren|1204|18400|Karl Eibner|a stone bridge with nine arches
Port Marren|the Alder|Grauhafen|1388|52700|Marta Holt|the longest pier of the coast
Grauhafen|the Lethe|Sandwick|1271|87300|Theo Grell|a fish market in the open air
Tolsund|the Risle|Vesterby|1455|9600|Anna Velten|a wooden church
Eskil|the Tarn|Oberfurt|1130|31200|Lena Ostrow|the ruins of an abbey
Lindau Mole|the Lethe|Tolsund|1612|6100|Tomas Grell|a lighthouse
Vesterby|the Onda|Marren|1349|14800|Ida Sorel|a school of navigation
Sandwick|the Onda|Eskil|1520|23900|Anton Velten|dunes that move inland
Oberfurt|the Tarn|Lindau Mole|1098|40500|Carla Eibner|a ferry older than the town"""

_FIRMS = """\
Halden Works|Karl Eibner|Vesterby|1919|lathes|Lena Ostrow
Velten and Sons|Anton Velten|Grauhafen|1899|ships' clocks|Carla Eibner
Nordlicht Press|Ivo Brandt|Marren|1868|maps and books|Marta Holt
Sorel Cannery|Ida Sorel|Port Marren|1877|tinned herring|Theo Grell
Kelp and Company|Maria Holt|Tolsund|1773|iodine|Clara Mohn
Reiter Foundry|Jonas Reiter|Lindau Mole|1821|bells|Peter Sorel
Grell Brothers|Tomas Grell|Oberfurt|1884|dark beer|Theo Grell
Blue Lantern|Carla Eibner|Sandwick|1938|children's books|Lena Ostrow"""

_BOOKS = """\
The Salt Ledger|Marta Holt|Nordlicht Press|1931|Port Marren
The Salt Road|Lena Ostrow|Blue Lantern|1952|Eskil
Nine Arches|Carla Eibner|Blue Lantern|1947|Marren
The Pilot's Winter|Peter Sorel|Kelp and Company|1809|Lindau Mole
Seaweeds of the Onda|Clara Mohn|Kelp and Company|1846|Vesterby
On Drawing Water|Ivo Brandt|Nordlicht Press|1872|Tolsund
Letters to a Brewer|Theo Grell|Nordlicht Press|1903|Oberfurt
The Clock of Grauhafen|Anna Velten|Velten and Sons|1912|Grauhafen
The Clockmaker's Ferry|Lena Ostrow|Nordlicht Press|1960|Oberfurt"""


def _person(row: list[str]) -> tuple[str, Kind, str, dict[str, tuple[str, Kind]]]:
    name, born, year, teacher, died, employer, craft = row
    text = (
        f"{name} was {craft}. Born in {year} in {born}, the second of five children, {name} "
        f"learned the craft from {teacher}. The working years were spent with {employer}. "
        f"{name} died in {died}."
    )
    facts = {
        "birthplace": (born, "town"),
        "year of birth": (year, "number"),
        "teacher": (teacher, "person"),
        "employer": (employer, "firm"),
        "place of death": (died, "town"),
    }
    return name, "person", text, facts


def _town(row: list[str]) -> tuple[str, Kind, str, dict[str, tuple[str, Kind]]]:
    name, river, twin, year, people, mayor, sight = row
    text = (
        f"{name} is a town on {river}, known for {sight}. It was founded in {year} and has "
        f"{people} inhabitants today. Its twin town is {twin}. The first mayor who was elected by "
        f"all citizens was {mayor}."
    )
    facts = {
        "river": (river, "thing"),
        "twin town": (twin, "town"),
        "year of foundation": (year, "number"),
        "number of inhabitants": (people, "number"),
        "first elected mayor": (mayor, "person"),
    }
    return name, "town", text, facts


def _firm(row: list[str]) -> tuple[str, Kind, str, dict[str, tuple[str, Kind]]]:
    name, founder, seat, year, product, director = row
    text = (
        f"{name} was founded by {founder} in {year} to make {product}. The firm has had its seat "
        f"in {seat} ever since. Its best known director was {director}, who doubled the output "
        "within a few years."
    )
    facts = {
        "founder": (founder, "person"),
        "seat": (seat, "town"),
        "year of foundation": (year, "number"),
        "product": (product, "thing"),
        "best known director": (director, "person"),
    }
    return name, "firm", text, facts


def _book(row: list[str]) -> tuple[str, Kind, str, dict[str, tuple[str, Kind]]]:
    name, author, publisher, year, place = row
    text = (
        f"{name} is a book by {author}. It is set in {place} and appeared with {publisher} in "
        f"{year}. The first printing was sold out before the end of the month."
    )
    facts = {
        "author": (author, "person"),
        "publisher": (publisher, "firm"),
        "year of publication": (year, "number"),
        "setting": (place, "town"),
    }
    return name, "book", text, facts


def _documents() -> tuple[Document, ...]:
    made = [
        write(line.split("|"))
        for rows, write in ((_PEOPLE, _person), (_TOWNS, _town), (_FIRMS, _firm), (_BOOKS, _book))
        for line in rows.splitlines()
    ]
    return tuple(Document(f"doc-{n:02d}", *document) for n, document in enumerate(made, start=1))


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
    found = [document for _, _, document in sorted(scored)[:limit]]
    lines = [f"{d.id} | {d.title} | {d.text.partition('. ')[0]}." for d in found]
    return "\n".join(lines) or "Nothing found."


def read_text(document: str) -> str:
    """The text of a document, under its title."""
    found = _BY_ID.get(document.strip().lower())
    return f"{found.title}\n\n{found.text}" if found else f"There is no document {document!r}."
