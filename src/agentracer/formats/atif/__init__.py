"""ATIF, the Agent Trajectory Interchange Format, in (any 1.x) and out (1.7).

Harbor's RFC 0001, as its pydantic models state it (PyPI `harbor` 0.24,
`harbor/models/trajectories/`). How the two models meet:

    ATIF                                 Trace
    first user step                      task
    leading system steps                 the system prompt of the root agent
    other steps, `step_id` from 1        steps, `index` from 0; `source` decides the agent
    extra.agent_name of a step           the agent, where a document holds several
    subagent_trajectories                steps of that agent, after the step that refers to it
    observation.results                  results of tool calls; others become the step's attributes
    extra.agentracer                     what ATIF has no field for, in documents that we wrote

ATIF does not say what an agent read, so `Step.reads` of an imported trace is None. Ground truth
and labels are not written: whoever judges the file must not see them. References to trajectories
in other files are kept in `Step.attributes` and not followed.
"""

from agentracer.formats.atif.reader import is_atif, read, trace_of
from agentracer.formats.atif.schema import VERSION
from agentracer.formats.atif.writer import to_atif

__all__ = ["VERSION", "is_atif", "read", "to_atif", "trace_of"]
