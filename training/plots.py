"""Curves of training: held-out accuracy and reward over the steps, a line for each seed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["curves", "read"]

_COLOURS = {"agent": "tab:blue", "step": "tab:orange"}


def read(folder: Path, stage: str, key: str) -> tuple[list[int], list[float]]:
    """Steps and values of a number in `metrics.jsonl`."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    found = {
        line["step"]: line[key]
        for line in map(json.loads, lines)
        if line["stage"] == stage and key in line
    }
    steps = sorted(found)
    return steps, [found[step] for step in steps]


def curves(warm_start: Path, folders: Sequence[Path], out: Path) -> Path:
    """Draw runs side by side: the warm start, GRPO of every seed, and its reward.

    Args:
        warm_start: the folder with the metrics of the supervised stage.
        folders: those with the metrics of GRPO.
        out: the picture to write.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    stages = ((panels[0], "sft", "warm start", [warm_start]), (panels[1], "grpo", "GRPO", folders))
    for panel, stage, title, runs in stages:
        for kind in ("agent", "step"):
            _lines(panel, runs, stage, f"held_out/{kind}", kind)
            for steps, values in (read(runs[0], stage, f"held_out/rule/{kind}"),):
                if steps:
                    panel.axhline(
                        values[0],
                        color=_COLOURS[kind],
                        linestyle=":",
                        linewidth=1,
                        label=f"{kind}: best rule",
                    )
        panel.set(title=title, xlabel="optimizer step", ylabel="held-out accuracy", ylim=(0, 1))
        panel.legend(fontsize=8)
    _lines(panels[2], folders, "grpo", "reward", "step")
    panels[2].set(
        title="GRPO", xlabel="optimizer step", ylabel="mean reward of a batch", ylim=(0, 1)
    )
    figure.savefig(out)
    pyplot.close(figure)
    return out


def _lines(panel: Any, folders: Sequence[Path], stage: str, key: str, kind: str) -> None:
    for number, folder in enumerate(folders):
        steps, values = read(folder, stage, key)
        label = kind if number == 0 and key != "reward" else None
        panel.plot(steps, values, color=_COLOURS[kind], alpha=0.8, linewidth=1.2, label=label)
