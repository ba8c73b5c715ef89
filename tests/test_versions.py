"""What is claimed of frameworks' versions is what `make test-versions` tests."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from scripts.test_versions import ENVIRONMENTS

from agentracer.frameworks.registry import specs

ROOT = Path(__file__).parents[1]
FRAMEWORKS = sorted({environment.framework for environment in ENVIRONMENTS})


def versions_of(framework):
    return [e.version for e in ENVIRONMENTS if e.framework == framework]


def claimed(framework):
    """What the extra of a framework claims of its main distribution."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [Requirement(text) for text in project["optional-dependencies"][framework]]
    return next(r for r in requirements if r.name == specs()[framework].distribution).specifier


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_oldest_the_newest_and_one_between_are_tested(framework):
    tested = versions_of(framework)
    oldest, newest = specs()[framework].tested
    assert len(tested) >= 3
    assert tested[0].startswith(oldest)
    assert tested[-1].startswith(newest)
    assert all(specs()[framework].is_tested(version) for version in tested)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_extra_claims_what_is_tested(framework):
    extra, tested = claimed(framework), versions_of(framework)
    assert all(version in extra for version in tested)
    major, minor, patch = (int(part) for part in tested[0].split("."))
    before = f"{major}.{minor}.{patch - 1}" if patch else f"{major}.{minor - 1}.99"
    assert before not in extra
    assert str(int(tested[-1].split(".")[0]) + 1) not in extra


def test_each_framework_has_tests_to_run():
    assert all(environment.tests for environment in ENVIRONMENTS)
