"""Find a figure that was copied from a source with its digits in another order."""

from __future__ import annotations

import re

__all__ = ["miscopied_figure"]

_YEAR = re.compile(r"(?:19|20)\d\d")


def miscopied_figure(figures: frozenset[str], source: frozenset[str]) -> tuple[str, str] | None:
    """Find a figure that was copied from a source with its digits in another order.

    Figures of fewer than three digits and years are left out: 2012 and 2021 are two years far more
    often than one that was copied wrongly.

    Returns:
        The wrong figure and that of the source; None if there is none.
    """
    by_digits = {
        "".join(sorted(figure)): figure for figure in sorted(source) if _is_comparable(figure)
    }
    for figure in sorted(figures - source):
        if not _is_comparable(figure):
            continue
        original = by_digits.get("".join(sorted(figure)))
        if original is not None and original != figure:
            return figure, original
    return None


def _is_comparable(figure: str) -> bool:
    return len(figure) > 2 and _YEAR.fullmatch(figure) is None
