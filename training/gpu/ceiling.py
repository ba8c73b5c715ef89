"""What a device really does: the matrix products that utilisation is measured against."""

from __future__ import annotations

import time
from typing import Any

__all__ = ["matrix_products", "synchronised"]


def synchronised() -> float:
    """The time, after everything that was asked of the device is done."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def matrix_products(dtype: Any, *, size: int = 8_192, rounds: int = 20) -> float:
    """TFLOP/s of square matrix products, the best of three times `rounds`.

    Args:
        dtype: torch's number format.
        size: rows and columns.
        rounds: products in a row.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = 0.0
    for _ in range(3):
        began = synchronised()
        for _ in range(rounds):
            a @ b
        best = max(best, rounds * 2 * size**3 / (synchronised() - began) / 1e12)
    return best
