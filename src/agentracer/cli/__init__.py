"""The command line: `agentracer COMMAND`.

Results go to stdout, everything else to stderr. Exit status: 0 done, 2 usage or bad input (nothing
was done), 3 partly done (stderr says what is missing). A run that failed is not an error: finding
out why is what the command is for.
"""

from __future__ import annotations

import errno
import gc
import io
import sys

import click

from agentracer._version import __version__
from agentracer.cli import (
    adapt,
    attribution,
    bench,
    collect,
    lessons,
    lifecycle,
    report,
    system,
    traces,
)
from agentracer.cli._io import BAD_INPUT, PARTLY_DONE, SKIPPED_FILES, fail
from agentracer.errors import AgentracerError

__all__ = ["BAD_INPUT", "PARTLY_DONE", "cli", "main"]


_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
"""Errors of a disk that is full, over quota or closed to the user: no fault of the program."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="agentracer")
def cli() -> None:
    """Which agent, and which step, made this multi-agent LLM run fail?

    Exit status: 0 done, 2 usage or bad input, 3 partly done.
    """


@cli.result_callback()
@click.pass_context
def _partly_done(context: click.Context, /, _result: object, **_options: object) -> None:
    """Exit with 3 where a command left out files that it could not read."""
    if context.meta.get(SKIPPED_FILES):
        sys.exit(PARTLY_DONE)


for command in (
    system.demo,
    attribution.attribute,
    traces.list_traces,
    traces.show,
    report.report,
    traces.import_otel,
    traces.export_trace,
    lifecycle.delete,
    lifecycle.prune,
    bench.bench,
    collect.collect,
    adapt.adapt,
    lessons.lessons,
    system.doctor,
    system.validate,
):
    cli.add_command(command)


def main() -> None:
    """Entry point: turns errors into messages and exit statuses."""
    # A large trace is many small objects that live to the end: looking for cycles among them again
    # and again would take a third of the time.
    gc.set_threshold(200_000, 20, 100)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an ASCII pipe shows what it cannot encode
            stream.reconfigure(errors="backslashreplace")
    try:
        cli()
    except AgentracerError as error:
        fail(str(error))
    except BrokenPipeError:  # the reader of a pipe has seen enough
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        fail(f"{error.filename or 'the output'}: {error.strerror}")
