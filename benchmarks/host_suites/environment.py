"""The sources of a suite, and an environment in which its tests run."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from .suites import Suite

__all__ = ["SuiteError", "make_environment", "obtain"]

ROOT = Path(__file__).parents[2]


class SuiteError(Exception):
    """A suite cannot be run here; the message says what is missing."""


def obtain(suite: Suite, folder: Path, given: Path | None) -> Path:
    """Return the folder of a suite's source; download it unless a path is given.

    Args:
        suite: which one.
        folder: where downloads are kept.
        given: a checkout of the user's.

    Raises:
        SuiteError: the tests are not in the source, or the distribution is not installed.
    """
    version = installed_version(suite.distribution)
    if given is None and not suite.in_sdist:
        raise SuiteError(
            f"the source distribution of {suite.distribution} carries no tests: give a checkout of "
            f"version {version} with --source {suite.distribution}=PATH"
        )
    source = given or folder / f"{suite.distribution.replace('-', '_')}-{version}"
    if given is None and not source.is_dir():
        _download(f"{suite.distribution}=={version}", folder)
    if not (source / suite.tests).is_dir():
        raise SuiteError(f"there are no tests in {source / suite.tests}")
    return source


def installed_version(distribution: str) -> str:
    """Return the version of a distribution that this interpreter has.

    Raises:
        SuiteError: it is not installed.
    """
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError as error:
        raise SuiteError(f"{distribution} is not installed for {sys.executable}") from error


def _download(requirement: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.glob("*.tar.gz"))
    _pip(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"],
        ["--no-binary", ":all:", "--dest", str(folder), requirement],
    )
    for archive in set(folder.glob("*.tar.gz")) - before:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")


def make_environment(suites: Sequence[Suite], sources: Sequence[Path], folder: Path) -> Path:
    """Make the virtual environment that some suites share; return its interpreter.

    It has the versions that are installed here, agentracer as it is in this tree, and what the
    suites name as test requirements. One that was made for the same requirements is kept.
    """
    required = sorted({*_pinned(suites), *_test_requirements(suites, sources)})
    digest = hashlib.sha256("\n".join([sys.version, str(ROOT), *required]).encode()).hexdigest()
    python, stamp = folder / "bin" / "python", folder / "requirements.sha256"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == digest:
        return python
    _pip([sys.executable, "-m", "venv", "--clear", str(folder)], [])
    _pip([str(python), "-m", "pip", "install", "--quiet"], ["--editable", str(ROOT), *required])
    stamp.write_text(digest, encoding="utf-8")
    return python


def _pinned(suites: Iterable[Suite]) -> Iterator[str]:
    """The framework's distributions at the versions that are installed here."""
    families = {suite.distribution.partition("-")[0] for suite in suites}
    for distribution in metadata.distributions():
        if _normal(distribution.name).partition("-")[0] in families:
            yield f"{distribution.name}=={distribution.version}"


def _test_requirements(suites: Iterable[Suite], sources: Iterable[Path]) -> Iterator[str]:
    yield "pytest-timeout"
    for suite, source in zip(suites, sources, strict=True):
        yield from suite.requirements
        for requirement in _group(source / "pyproject.toml", "test"):
            name = re.match(r"[\w.-]+", requirement)
            if name is not None and _normal(name[0]) not in suite.omit:
                yield requirement


def _group(pyproject: Path, group: str) -> Iterator[str]:
    """The requirements of a dependency group, those of the groups that it includes among them."""
    if not pyproject.is_file():
        return
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    groups: dict[str, list[Any]] = project.get("dependency-groups", {})
    for entry in groups.get(group, ()):
        if isinstance(entry, str):
            yield entry
        else:
            yield from _group(pyproject, entry["include-group"])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pip(command: list[str], arguments: list[str]) -> None:
    result = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    if result.returncode != 0:
        raise SuiteError(f"{' '.join(command)} failed:\n{result.stderr[-2000:]}")
