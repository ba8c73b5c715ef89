"""Make items in processes of this machine, or on a Ray cluster.

Results come as they are done, in any order.
"""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from agentracer.errors import MissingExtra, WorkerLost
from agentracer.lab.collect.plan import Item
from agentracer.lab.collect.worker import (
    Settings,
    Worker,
    drain,
    start_in_process,
    work_in_process,
)

__all__ = ["ENGINES", "local", "on_ray"]


def local(todo: Sequence[Item], settings: Settings, workers: int) -> Iterator[dict[str, Any]]:
    """Make items in processes of their own; with no workers, in this one.

    Raises:
        WorkerLost: a process was killed, or cannot import the program that it was started from.
    """
    if workers < 1:
        yield from drain(settings, list(todo))
        return
    # spawn: a process that was forked from one with threads and event loops may hang
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=start_in_process, initargs=(settings,)
    ) as pool:
        waiting = [pool.submit(work_in_process, item) for item in todo]
        try:
            for done in as_completed(waiting):
                yield done.result()
        except BrokenProcessPool as error:
            raise WorkerLost from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def on_ray(todo: Sequence[Item], settings: Settings, workers: int) -> Iterator[dict[str, Any]]:
    """Make items on the Ray cluster that `RAY_ADDRESS` names, or on a local one."""
    try:
        ray: Any = importlib.import_module("ray")
        pools: Any = importlib.import_module("ray.util")
    except ModuleNotFoundError as error:
        raise MissingExtra("ray", needed_for="collect --engine ray") from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    actor = ray.remote(num_cpus=1)(Worker)
    pool = pools.ActorPool([actor.remote(settings) for _ in range(max(1, workers))])
    yield from pool.map_unordered(lambda worker, item: worker.make.remote(item), list(todo))


ENGINES = {"local": local, "ray": on_ray}
"""Engines by name."""
