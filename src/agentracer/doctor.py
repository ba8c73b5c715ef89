"""Check whether this installation can capture, store and attribute runs.

`agentracer doctor` prints the results.
"""

from __future__ import annotations

import importlib.util
import platform
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from agentracer._version import __version__
from agentracer.errors import pip_line
from agentracer.frameworks.registry import specs
from agentracer.frameworks.spec import AdapterSpec, TestedDistribution
from agentracer.store import Store

__all__ = ["Check", "examine"]

Level = Literal["ok", "info", "warning"]


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check; `remedy` says what to do about a warning."""

    level: Level
    subject: str
    text: str
    remedy: str | None = None


def examine(store: Store | None = None) -> Iterator[Check]:
    """Run all checks, one after the other."""
    yield Check("ok", "agentracer", f"{__version__} (distribution agentracer-mas)")
    yield Check("ok", "python", platform.python_version())
    yield from _namesake()
    for spec in specs().values():
        yield _framework(spec)
        yield from (_distribution(built) for built in spec.built_on_it)
    yield from _camel_and_mcp()
    yield _store(store or Store())


def _namesake() -> Iterator[Check]:
    """The PyPI distribution `agentracer` is another product, and shares our import name."""
    version = _version("agentracer")
    if version is not None:
        yield Check(
            "warning",
            "namesake",
            f"the unrelated distribution 'agentracer' {version} is installed beside "
            "'agentracer-mas'; both provide the module 'agentracer'",
            "pip uninstall agentracer, then reinstall agentracer-mas",
        )


def _framework(spec: AdapterSpec) -> Check:
    if spec.distribution is None:
        installed = importlib.util.find_spec(spec.packages[0]) is not None
        text = "found" if installed else f"no package {spec.packages[0]} can be imported here"
        return Check("ok" if installed else "info", spec.name, text)
    return _distribution(spec)


def _distribution(tested: TestedDistribution) -> Check:
    name = tested.distribution or ""
    version = _version(name)
    if version is None:
        remedy = pip_line(tested.extra) if tested.extra else f"pip install {name}"
        return Check("info", name, f"not installed; to capture it: {remedy}")
    if not tested.is_tested(version):
        text = f"{version}; capture was tested with {tested.tested_text}"
        newest = tested.tested[1] if tested.tested else version
        remedy = pip_line(tested.extra) if tested.extra else f"pip install {name}=={newest}"
        return Check("warning", name, text, remedy)
    return Check("ok", name, version)


def _camel_and_mcp() -> Iterator[Check]:
    mcp = _version("mcp")
    if _version("camel-ai") is not None and mcp is not None and not mcp.startswith("1."):
        text = f"camel-ai cannot be imported with mcp {mcp}"
        yield Check("warning", "mcp", text, 'pip install "mcp<2"')


def _store(store: Store) -> Check:
    place = store.home if store.home.exists() else store.home.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Check(
            "warning",
            "store",
            f"{store.home} cannot be written: {error.strerror}",
            "set AGENTRACER_HOME to a writable directory",
        )
    count = len(store.ids())
    traces = f"{count} trace{'s' if count != 1 else ''}"
    return Check("ok", "store", f"{store.home}, {traces}, {store.size() / 1e6:.1f} MB")


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
