"""Ways to corrupt one step of a run: the operators of fault injection.

An operator looks at one step of a successful run and proposes a corrupted action, or None where it
does not apply. It draws all chance from the generator it is given, so the same seed proposes the
same thing. What it writes must look like what the agents of that run write: material comes from the
run itself, changes are small and go both ways, and nothing says that it was injected.

    from agentracer.replay.operators import Corruption, operator

    @operator("text.shouting", says="shouts")
    def shouting(trace, step, rng):
        return Corruption(Override(step=step, content=trace.steps[step].content.upper()), "shouts")

The operators of this package are registered when the module of their family is first asked for.
"""

from __future__ import annotations

from agentracer.replay.operators.base import (
    Corruption,
    Operator,
    find,
    operator,
    operators,
    registered,
)

__all__ = ["Corruption", "Operator", "find", "operator", "operators", "registered"]
