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


def curves(folders: Sequence[Path], out: Path) -> Path:
    """Draw the runs in some folders side by side: warm start, GRPO, and the reward."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    for panel, stage, title in ((panels[0], "sft", "warm start"), (panels[1], "grpo", "GRPO")):
        for kind in ("agent", "step"):
            _lines(panel, folders, stage, f"held_out/{kind}", kind)
            for steps, values in (read(folders[0], stage, f"held_out/rule/{kind}"),):
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
