"""A public name that is removed or changed so that users may notice has a line in the changelog."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("griffe")

from scripts import api, release_check

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("(a)", "(a, b=1)"),
        ("(a)", "(a, *, b=1)"),
        ("(a, b=1)", "(a, b=1, **more)"),
        ("(a, *, b)", "(a, *, b=1)"),
        ("(a, /)", "(a)"),
        ("(*, a, b)", "(*, b, a)"),
        ("(*, a)", "(**more)"),
    ],
)
def test_calls_that_were_right_stay_right(before, now):
    assert not list(api.differences(before, now))


@pytest.mark.parametrize(
    ("before", "now", "problem"),
    [
        ("(a, b)", "(a)", "`b` cannot be given by keyword"),
        ("(a, b)", "(b, a)", "`a` is no longer parameter 1"),
        ("(a, b=1)", "(a, *, b=1)", "`b` is no longer parameter 2"),
        ("(a)", "(a, b)", "`b` is new and has no default"),
        ("(a)", "(a, *, b)", "`b` is new and has no default"),
        ("(a=1)", "(a)", "`a` has no default any more"),
        ("(a=1)", "(a=2)", "the default of `a` was 1 and is 2"),
        ("(a)", "(a, /)", "`a` cannot be given by keyword"),
    ],
)
def test_calls_that_may_break_are_found(before, now, problem):
    assert any(problem in difference for difference in api.differences(before, now))


def test_a_name_that_is_gone_is_reported_once_and_without_its_members():
    before = api.parse("class agentracer.Run(task=None)\nfunction agentracer.Run.judge()\n")
    assert [change.name for change in api.compare(before, {})] == ["agentracer.Run"]


def test_a_changelog_line_that_names_the_change_is_enough():
    change = api.Change("agentracer.Run.judge", "is gone")
    assert change.is_named_in("- `Run.judge` is `Run.check` now")
    assert not change.is_named_in("- judge is another word here, and `judgement` too")


def test_only_what_is_newer_than_the_release_counts():
    changelog = "## [Unreleased]\n- new\n\n## [0.1.0] - 2026-11-30\n- old\n"
    assert "new" in api.newer_than(changelog, "0.1.0")
    assert "old" not in api.newer_than(changelog, "0.1.0")
    assert api.newer_than(changelog, "0.2.0") is None


def test_every_snapshot_can_be_read_and_has_the_main_names():
    snapshots = list(api.SNAPSHOTS.glob("*.txt"))
    assert snapshots
    for snapshot in snapshots:
        entries = api.parse(snapshot.read_text())
        assert entries["agentracer.record"].signature.startswith("(")
        assert "agentracer.Trace.steps" in entries


def test_what_the_package_exports_is_read_from_its_source():
    import agentracer

    entries = api.public_api(ROOT)
    names = {f"agentracer.{name}" for name in agentracer.__all__}
    assert names <= set(entries)
    assert "check=None" in entries["agentracer.record"].signature


def test_a_release_needs_its_tag_and_its_heading():
    changelog = "## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n- news\n"
    assert not list(release_check.problems("v0.2.0", "0.2.0", changelog))
    assert "the version is '0.2.0'" in next(release_check.problems("v0.3.0", "0.2.0", changelog))
    assert "no heading" in next(release_check.problems("v0.3.0", "0.3.0", changelog))
    left = changelog.replace("[Unreleased]\n", "[Unreleased]\n- more\n")
    assert "under `## [Unreleased]`" in next(release_check.problems("v0.2.0", "0.2.0", left))
