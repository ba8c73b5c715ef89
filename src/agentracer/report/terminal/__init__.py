"""Traces and verdicts in a terminal: styled for people, plain when piped or under `NO_COLOR`.

Nothing here decides anything: it shows what the trace and the verdict hold.
"""

from agentracer.report.terminal.listing import TraceRow, print_traces
from agentracer.report.terminal.run import print_trace
from agentracer.report.terminal.verdict import print_verdict

__all__ = ["TraceRow", "print_trace", "print_traces", "print_verdict"]
