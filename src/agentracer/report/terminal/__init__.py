"""Print traces and verdicts to a terminal: styled, or plain when piped or under `NO_COLOR`."""

from agentracer.report.terminal.listing import TraceRow, print_traces
from agentracer.report.terminal.run import print_trace
from agentracer.report.terminal.verdict import print_verdict

__all__ = ["TraceRow", "print_trace", "print_traces", "print_verdict"]
