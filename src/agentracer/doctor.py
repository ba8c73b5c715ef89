"""What `agentracer doctor` looks at: is this installation able to capture, store and attribute?

Findings only; how they are shown is the CLI's business.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from agentracer._version import __version__
from agentracer.errors import pip_line
from agentracer.store import Store

__all__ = ["Finding", "examine"]

Level = Literal["ok", "info", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `remedy` says what to do about a warning."""

    level: Level
    subject: str
    text: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class _Requirement:
    """A framework: the distribution to look for, and the versions that capture was tested with."""

    extra: str
    distribution: str
    tested: str


_FRAMEWORKS = (
    _Requirement("langgraph", "langgraph", "1."),
    _Requirement("autogen", "autogen-agentchat", "0.7.5"),
    _Requirement("camel", "camel-ai", "0.2.90"),
)


def examine(store: Store | None = None) -> Iterator[Finding]:
    """Look at everything, one finding at a time."""
    yield Finding("ok", "agentracer", f"{__version__} (distribution agentracer-mas)")
    yield Finding("ok", "python", platform.python_version())
    yield from _namesake()
    for requirement in _FRAMEWORKS:
        yield _framework(requirement)
    yield from _camel_and_mcp()
    yield _store(store or Store())


def _namesake() -> Iterator[Finding]:
    """The PyPI distribution `agentracer` is another product, and shares our import name."""
    version = _version("agentracer")
    if version is not None:
        yield Finding(
            "warning",
            "namesake",
            f"the unrelated distribution 'agentracer' {version} is installed beside "
            "'agentracer-mas'; both provide the module 'agentracer'",
            "pip uninstall agentracer, then reinstall agentracer-mas",
        )


def _framework(requirement: _Requirement) -> Finding:
    version = _version(requirement.distribution)
    if version is None:
        text = f"not installed; to capture it: {pip_line(requirement.extra)}"
        return Finding("info", requirement.distribution, text)
    if not version.startswith(requirement.tested):
        return Finding(
            "warning",
            requirement.distribution,
            f"{version}; capture was tested with {requirement.tested}*",
            pip_line(requirement.extra),
        )
    return Finding("ok", requirement.distribution, version)


def _camel_and_mcp() -> Iterator[Finding]:
    mcp = _version("mcp")
    if _version("camel-ai") is not None and mcp is not None and not mcp.startswith("1."):
        text = f"camel-ai cannot be imported with mcp {mcp}"
        yield Finding("warning", "mcp", text, 'pip install "mcp<2"')


def _store(store: Store) -> Finding:
    place = store.home if store.home.exists() else store.home.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Finding(
            "warning",
            "store",
            f"{store.home} cannot be written: {error.strerror}",
            "set AGENTRACER_HOME to a writable directory",
        )
    count = len(store.ids())
    return Finding("ok", "store", f"{store.home}, {count} trace{'s' if count != 1 else ''}")


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
