"""A tenant's question: CAMEL agents in a row, a clause reader with a tool, a lawyer, a writer."""

from __future__ import annotations

import contextlib
import io
import re
from types import SimpleNamespace

import pytest

pytest.importorskip("camel", reason="needs the extra [camel]")

from camel.agents import ChatAgent
from camel.toolkits import FunctionTool

from agentracer.lab.testbed.server import ChatReply, ModelServer, ScriptedCall
from tests.adapters.camel_societies import model as camel_model
from tests.natural_apps.prose import App, ProseModel, assert_found

TASK = "My lease began in 2019. If I give notice on 10 March, when can I move out at the earliest?"
LEASE = (
    "Clause 9. The tenant may end the lease with three months' notice to the end of a month. "
    "Clause 10. The landlord may end it with six months' notice."
)


def clerk(reading):
    if not reading.results:
        return ChatReply(None, (ScriptedCall("open_lease", {"clause": "notice"}),))
    if reading.mistaken:
        return "According to the lease, notice has to be given six months ahead, to a month's end."
    return "According to the lease, notice has to be given three months ahead, to a month's end."


def lawyer(reading):
    months = re.findall(r"given (\w+) months ahead", reading.text)[-1]
    end = {"three": "30 June", "six": "30 September"}[months]
    return f"Notice on 10 March with {months} months ahead ends the lease on {end}."


def writer(reading):
    end = re.findall(r"ends the lease on (\d+ \w+)", reading.text)[-1]
    return f"You can move out on {end} at the earliest. Please send your notice by post."


@pytest.fixture
def app(captured):
    model = ProseModel(
        {
            "You read contracts": clerk,
            "You are a lawyer": lawyer,
            "You answer tenants": writer,
        }
    )
    with ModelServer(model) as server, contextlib.redirect_stdout(io.StringIO()):
        where = SimpleNamespace(url=server.base_url)

        def open_lease(clause: str) -> str:
            """Open the lease.

            Args:
                clause: what to look for
            """
            return LEASE

        def run():
            office = [
                ChatAgent(
                    "You read contracts and say what they say.",
                    model=camel_model(where),
                    tools=[FunctionTool(open_lease)],
                    agent_id="clerk",
                ),
                ChatAgent("You are a lawyer. Work out the date.", model=camel_model(where)),
                ChatAgent("You answer tenants in plain words.", model=camel_model(where)),
            ]
            message = TASK
            for member in office:
                message = member.step(message).msg.content
            return message

        yield App(
            model,
            run=run,
            check=lambda answer: "30 June" in answer,
            agent="clerk",
            wrong="six months ahead",
            right="three months ahead",
        )


def test_the_right_text_proves_the_clerks_step(app):
    trace = app.recorded()
    assert_found(app.find_with_the_right_text(trace), trace, app.planted(trace))


def test_a_reference_run_leads_to_the_clerks_step(app):
    trace = app.recorded()
    assert_found(app.find_with_a_reference(trace), trace, app.planted(trace))
