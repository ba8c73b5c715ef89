"""Whether a checkout is ready to be released under a tag: `make release-check TAG=v0.2.0`.

It checks that the tag is the version of the package, and that the changelog has a heading with a
date for it, and nothing above that heading. It changes nothing.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Print what is wrong; the exit status says whether anything is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tag", help="such as v0.2.0")
    tag: str = parser.parse_args().tag
    version = re.search(
        r'^__version__ = "([^"]+)"',
        (ROOT / "src/agentracer/_version.py").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    found = list(
        problems(
            tag,
            version[1] if version else "",
            (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        )
    )
    for problem in found:
        print(problem)
    if not found:
        print(f"{tag} can be released")
    sys.exit(bool(found))


def problems(tag: str, version: str, changelog: str) -> Iterator[str]:
    """What keeps a tag from being released, each with the file and the remedy.

    Args:
        tag: such as `v0.2.0`.
        version: of the package.
        changelog: the text of the file.
    """
    if tag != f"v{version}":
        yield (
            f"src/agentracer/_version.py: the version is {version!r}, the tag {tag!r}\n"
            f"  remedy: tag this commit v{version}, or set the version first"
        )
    heading = re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d{{2}}-\d{{2}}$", changelog, re.MULTILINE
    )
    if heading is None:
        yield (
            f"CHANGELOG.md: there is no heading `## [{version}] - YEAR-MONTH-DAY`\n"
            "  remedy: put the changes under that heading, below an empty `## [Unreleased]`"
        )
        return
    unreleased = re.search(r"^## \[Unreleased\]$", changelog[: heading.start()], re.MULTILINE)
    if unreleased and changelog[unreleased.end() : heading.start()].strip():
        yield (
            "CHANGELOG.md: there are changes under `## [Unreleased]`\n"
            f"  remedy: move them under `## [{version}]`"
        )


if __name__ == "__main__":
    main()
