"""A customer's letter: an AutoGen team of an intake clerk, a bookkeeper with a tool, a writer."""

from __future__ import annotations

import asyncio
import re
from types import SimpleNamespace

import pytest

pytest.importorskip("autogen_agentchat", reason="needs the extra [autogen]")
pytest.importorskip("autogen_ext.models.openai", reason="needs the extra [autogen]")

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.teams import SelectorGroupChat

from agentracer.lab.testbed.server import ChatReply, ModelServer, ScriptedCall
from tests.adapters.autogen_teams import client
from tests.natural_apps.prose import App, ProseModel, assert_found

TASK = (
    "Please answer this letter. 'Good morning, you have charged my card twice for invoice 2041. "
    "I have paid invoice 2014 in June and have no question about it. Yours, Ms Okafor'"
)
BOOKS = {
    "2014": "Invoice 2014: EUR 80.00, paid once, on 3 June.",
    "2041": "Invoice 2041: EUR 95.00, paid twice, on 1 and 2 July.",
}


def intake(reading):
    number = "2014" if reading.mistaken else "2041"
    return f"Ms Okafor asks why her card was charged twice for invoice {number}."


def bookkeeper(reading):
    if not reading.results:
        number = re.findall(r"charged twice for invoice (\d+)\.", reading.text)[-1]
        return ChatReply(None, (ScriptedCall("open_invoice", {"number": number}),))
    if "paid twice" in reading.results[-1]:
        return "The books show two payments for it, so one of EUR 95.00 goes back to her."
    return "The books show a single payment for it, so nothing is owed to her."


def writer(reading):
    if "goes back to her" in reading.text:
        return "Dear Ms Okafor, you are right: we return EUR 95.00 to your card today. DONE"
    return "Dear Ms Okafor, we have found one payment only, and consider the matter closed. DONE"


def selector(reading):
    text = reading.text + reading.request.system
    if "The books show" in text:
        return "writer"
    return "bookkeeper" if "Ms Okafor asks" in text else "intake"


@pytest.fixture
def app(captured):
    model = ProseModel(
        {
            "You read letters": intake,
            "You keep the books": bookkeeper,
            "You write to customers": writer,
            "role play game": selector,
        }
    )
    with ModelServer(model) as server:
        where = SimpleNamespace(url=server.base_url)

        def open_invoice(number: str) -> str:
            """Show an invoice and its payments."""
            return BOOKS[number]

        def build():
            models = client(where)  # it belongs to the event loop of this run
            return SelectorGroupChat(
                [
                    AssistantAgent(
                        "intake",
                        models,
                        description="Reads letters.",
                        system_message="You read letters and say what they ask for.",
                    ),
                    AssistantAgent(
                        "bookkeeper",
                        models,
                        tools=[open_invoice],
                        reflect_on_tool_use=True,
                        description="Keeps the books.",
                        system_message="You keep the books. Say what they show.",
                    ),
                    AssistantAgent(
                        "writer",
                        models,
                        description="Writes to customers.",
                        system_message="You write to customers, and end with DONE.",
                    ),
                ],
                model_client=models,
                termination_condition=TextMentionTermination("DONE", sources=["writer"]),
                max_turns=6,
            )

        yield App(
            model,
            run=lambda: asyncio.run(build().run(task=TASK)),
            check=lambda result: "return EUR 95.00" in result.messages[-1].content,
            agent="intake",
            wrong="charged twice for invoice 2014",
            right="charged twice for invoice 2041",
        )


def test_the_right_text_proves_the_intakes_step(app):
    trace = app.recorded()
    assert_found(app.find_with_the_right_text(trace), trace, app.planted(trace))


def test_a_reference_run_leads_to_the_intakes_step(app):
    trace = app.recorded()
    assert_found(app.find_with_a_reference(trace), trace, app.planted(trace))
