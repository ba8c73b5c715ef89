"""The command line; see the package."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agentracer.store import Store

from .compare import COLUMNS, Comparison, Outcomes, inspect_traces
from .environment import ROOT, SuiteError, make_environment, obtain
from .suites import SUITES, Suite

BUILD = ROOT / "build" / "host-suites"
SECONDS_PER_TEST = 180
BEGIN, END = "<!-- host suites: begin -->", "<!-- host suites: end -->"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suites and print the table; return 1 if a suite found a difference."""
    options = _parser().parse_args(arguments)
    given = {name: Path(path).expanduser().resolve() for name, path in options.source}
    names = options.suite or [*(n for n, s in SUITES.items() if s.in_sdist or n in given)]
    suites = [SUITES[name] for name in names]
    if options.tests:
        suites = [replace(suite, quick=tuple(options.tests)) for suite in suites]
    comparisons = []
    try:
        sources = [obtain(s, BUILD / "sources", given.get(s.distribution)) for s in suites]
        for suite, source in zip(suites, sources, strict=True):
            python = _environment(suite, suites, sources)
            part = suite.quick if options.quick or options.tests else (suite.tests,)
            comparisons.append(_compare(suite, source, python, part))
    except SuiteError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    table = _table(comparisons)
    print(table)
    for comparison in comparisons:
        for remark in comparison.remarks():
            print(remark)
    if options.docs:
        _write_docs(options.docs, table)
    return 0 if all(comparison.sound for comparison in comparisons) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.host_suites", description=__doc__)
    parser.add_argument("--suite", action="append", choices=SUITES, help="only this one")
    parser.add_argument("--quick", action="store_true", help="a part of each, in a few minutes")
    parser.add_argument("--tests", nargs="+", metavar="PATH", help="only these, in each source")
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        type=lambda text: tuple(text.split("=", 1)),
        metavar="NAME=PATH",
        help="a checkout, for suites whose source distribution carries no tests",
    )
    parser.add_argument("--docs", type=Path, metavar="FILE", help="write the table into this page")
    return parser


def _environment(suite: Suite, suites: Sequence[Suite], sources: Sequence[Path]) -> Path:
    """The interpreter for a suite. Which others are asked for does not change the environment."""
    together = [s for s in SUITES.values() if s.environment == suite.environment]
    given = dict(zip((s.distribution for s in suites), sources, strict=True))
    where = [
        given.get(other.distribution) or obtain(other, BUILD / "sources", None)
        for other in together
    ]
    return make_environment(together, where, BUILD / "environments" / suite.environment)


def _compare(suite: Suite, source: Path, python: Path, part: Sequence[str]) -> Comparison:
    folder = BUILD / "runs" / suite.distribution
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    without = _run(suite, source, python, part, folder / "without.json", None)
    recorded = _run(suite, source, python, part, folder / "with.json", folder / "store")
    comparison = Comparison(suite, without, recorded, inspect_traces(Store(folder / "store")))
    tests = [test for test in comparison.different if "::" in test]
    if not tests:
        return comparison
    again = (
        _run(suite, source, python, tests, folder / "again-without.json", None).outcomes,
        _run(suite, source, python, tests, folder / "again-with.json", folder / "again").outcomes,
    )
    return replace(comparison, again=again)


def _run(
    suite: Suite,
    source: Path,
    python: Path,
    tests: Sequence[str],
    file: Path,
    store: Path | None,
) -> Outcomes:
    """Run tests of a suite; recorded into a store if one is given."""
    command = [
        *(str(python), "-m", "pytest", *tests, "-q", "-p", "no:cacheprovider"),
        *("-p", "no:agentracer", "-p", "recording_plugin", "--outcomes", str(file)),
        *("--timeout", str(SECONDS_PER_TEST)),
        *(f"--ignore={path}" for path in suite.ignore),
    ]
    if store is not None:
        command.append("--recorded")
    variables = {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LANGSMITH_", "LANGCHAIN_"))
        },
        **suite.variables,
        "AGENTRACER_HOME": str(store or file.with_suffix("")),
        "PYTHONPATH": str(Path(__file__).parent),
    }
    log = file.with_suffix(".log")
    with log.open("w", encoding="utf-8") as output:
        subprocess.run(
            command,
            cwd=source,
            env=variables,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if not file.is_file():
        end = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise SuiteError(f"pytest did not come to its end for {suite.distribution}: {end}")
    return Outcomes.load(file)


def _table(comparisons: Sequence[Comparison]) -> str:
    rows = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    rows += [f"| {' | '.join(comparison.row().values())} |" for comparison in comparisons]
    return "\n".join(rows)


def _write_docs(page: Path, table: str) -> None:
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
