"""The benchmark of credit assignment: its table is what its systems really do."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"


@pytest.fixture
def credit(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield lambda name: importlib.import_module(f"credit.{name}")
    for name in [name for name in sys.modules if name.partition(".")[0] == "credit"]:
        del sys.modules[name]


@pytest.fixture
def data():
    if not (DATA / "gsm8k").is_dir():
        pytest.skip(f"GSM8K is not at {DATA}")
    return DATA


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gsm8k", "documents"])
def test_the_table_says_what_recorded_runs_do(credit, data, name):
    pipeline = credit("pipeline")
    family = credit(name).family(data)
    seeds = (pipeline.draw(family, seed, tasks=6, largest=300) for seed in range(100))
    plant = next(plant for plant in seeds if plant is not None)
    for configuration in plant.configurations[:: len(plant.configurations) // 7]:
        for slot, variant in zip(plant.options, configuration, strict=True):
            plant.slots[slot] = family.slots[slot][variant]
        for number, task in enumerate(plant.tasks):
            try:
                right = plant.check(task, plant.run(task))
            except Exception:
                right = False
            assert right == plant.table[configuration][number]


@pytest.mark.slow
def test_a_drawn_system_has_what_the_docs_promise(credit, data):
    pipeline = credit("pipeline")
    family = credit("gsm8k").family(data)
    weak = pipeline.weak(family)
    plants = [pipeline.draw(family, seed, tasks=10, largest=300) for seed in range(20)]
    for plant in filter(None, plants):
        assert 4 <= len(plant.options) <= 8
        for slot, names in plant.options.items():
            assert 3 <= len(names) <= 6
            assert 2 * sum(name in weak[slot] for name in names) >= len(names)
        assert 0.1 * plant.best <= plant.share(plant.start) <= 0.6 * plant.best


def test_a_curve_tells_a_fluke_from_a_lasting_success(credit):
    curve = credit("arms").Curve([(0, 0.1), (5, 0.9), (6, 0.2), (40, 0.95)], [], [])
    assert curve.reached(0.9) == 5
    assert curve.reached(0.9, hold=30) == 40
    assert curve.reached(0.96) is None
