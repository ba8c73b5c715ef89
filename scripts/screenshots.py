"""The pictures in docs/img: pages of real runs, in light, in dark and on a phone.

    python -m scripts.screenshots --whowhen DIR --data DIR

Nothing here is made up for the picture. The team of `agentracer demo` runs, fails, is attributed
and replayed; a Magentic-One log of 130 steps comes from Who&When (`--whowhen`, MIT), labels taken
out; the evolution is one system of `benchmarks/credit` over GSM8K tasks (`--data`).
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from rich.console import Console
from tests.report import chromium

import agentracer
from agentracer.attribution import Tracer
from agentracer.formats import load_any
from agentracer.report import evolution, html, index, replays
from agentracer.report.index import RunEntry
from agentracer.store import Store

ROOT = Path(__file__).parents[1]
LONG = 130
LARGEST = 300_000  # bytes of a picture
SHAPES = {"light": (1280, 900), "dark": (1280, 900), "phone": (390, 844)}


class Shot(NamedTuple):
    """A page, and the place in it that the picture shows."""

    name: str
    page: Path
    fragment: str = ""


def main() -> None:
    """Make the pages in a scratch folder, then take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whowhen", type=Path, required=True, help="a checkout of Who&When")
    parser.add_argument("--data", type=Path, required=True, help="holds gsm8k/train_2000.jsonl")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "img")
    options = parser.parse_args()
    whowhen, data = options.whowhen.resolve(), options.data.resolve()
    out: Path = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, chdir(scratch), chromium.browser() as page:
        shots = itertools.chain(_demo(), _whowhen(whowhen), _evolution(data))
        for shot in shots:
            for shape, (width, height) in SHAPES.items():
                page.prefer("dark" if shape == "dark" else "light")
                page.open(shot.page, shot.fragment, width=width, height=height, scale=2)
                path = out / f"{shot.name}-{shape}.png"
                page.screenshot(path)
                _shrink(path)
                print(f"{path}  {path.stat().st_size // 1000} kB", flush=True)
            if page.complaints():
                sys.exit(f"{shot.page}: {page.complaints()}")


def _demo() -> Iterator[Shot]:
    """A short run, the run that replay confirmed, and the list of all."""
    from agentracer.lab.demo import run_demo

    os.environ["AGENTRACER_HOME"] = str(Path("demo").absolute())
    home = Store()
    quiet = Console(file=io.StringIO())
    run_demo(seed=0, model="scripted", base_url=None, output=Path("pages"), console=quiet)
    runs = []
    for name in reversed(home.ids()):
        trace, verdict = home.load(name), home.load_verdict(name)
        if trace.parent is None:
            runs.append(RunEntry(trace, verdict, replays.load_replays(trace, verdict, home)))
    failed = [run for run in runs if run.verdict is not None and not run.replays]
    short = min(failed, key=lambda run: len(run.trace.steps))
    confirmed = next(run for run in runs if run.replays)
    yield Shot("short", _page("short", short))
    yield Shot("confirmed", _page("confirmed", confirmed), "#replay-0")
    yield Shot("runs", index.write(Path("runs.html").absolute(), runs))


def _whowhen(folder: Path) -> Iterator[Shot]:
    logs = load_any(folder / "Hand-Crafted")
    trace = next(log for log in logs if len(log.steps) == LONG)
    trace = trace.model_copy(update={"labels": ()})
    yield Shot("long", _page("long", RunEntry(trace, Tracer().attribute(trace))))


def _evolution(data: Path) -> Iterator[Shot]:
    """A few rounds in which replay says whose fault a failure was."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from credit.gsm8k import family
    from credit.pipeline import draw

    from agentracer.evolution import Team, TryAlternatives, Verified
    from agentracer.evolution.alternatives import Alternatives

    kind = family(data)
    drawn = (draw(kind, seed, tasks=30) for seed in range(100))
    plant = next(plant for plant in drawn if plant is not None)
    options = {s: {n: kind.slots[s][n] for n in names} for s, names in plant.options.items()}
    report = agentracer.evolve(
        Team(run=lambda _, task: plant.run(task), deterministic=True),
        plant.tasks,
        plant.check,
        Verified(Alternatives(options), strategy="sequential"),
        rounds=4,
        failures=4,
        strategy=TryAlternatives(options, plant.slots),
        store=Store(Path("evolution").absolute()),
    )
    yield Shot("evolution", evolution.write(Path("evolution.html").absolute(), report.to_json()))


def _page(name: str, run: RunEntry) -> Path:
    return html.write(Path(f"{name}.html").absolute(), run.trace, run.verdict, run.replays)


def _shrink(path: Path) -> None:
    """A palette of 256 colours is all that the pages use."""
    with Image.open(path) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    if path.stat().st_size > LARGEST:
        sys.exit(f"{path}: {path.stat().st_size:,} bytes, more than {LARGEST:,}")


if __name__ == "__main__":
    main()
