"""A model that answers every request plainly and in the form it asks for; it solves nothing."""

from __future__ import annotations

import json

from agentracer.lab.testbed import workforce
from agentracer.lab.testbed.server import ApiError, ChatReply, ScriptedCall, text_of


class PlainModel:
    """Ends every conversation with one text.

    Args:
        answer: the text of all ordinary replies.
        tool: a tool to call first, once in each conversation that offers it.
        arguments: its arguments.
        break_after: fail every request after so many.
    """

    def __init__(self, answer, tool=None, arguments=None, break_after=None):
        self.answer, self.break_after, self.requests = answer, break_after, []
        self.call = ScriptedCall(tool, arguments) if tool else None

    def reply(self, request):
        self.requests.append(request)
        if self.break_after is not None and len(self.requests) > self.break_after:
            raise ApiError(500, "out of order", kind="server_error")
        answered = any(message["role"] == "tool" for message in request.messages)
        if self.call and self.call.name in request.tool_names and not answered:
            return ChatReply(None, (self.call,))
        return ChatReply(self.text(request))

    def text(self, request):
        prompt = workforce.parse_prompt(request)
        if prompt is not None:
            return self.for_workforce(prompt)
        last = text_of(request.messages[-1])
        if "is_request_satisfied" in last:
            return ledger(satisfied="expert" in str(request.messages[2:-1]), answer=self.answer)
        if "select the next role" in last or "select the next role" in request.system:
            return "expert" if len(self.requests) < 3 else "writer"
        if "critic" in request.system or "APPROVE" in request.system:
            return "APPROVE"
        return f"{self.answer} TERMINATE" if "TERMINATE" in request.system else self.answer

    def for_workforce(self, prompt):
        if prompt.kind == "split":
            return "<tasks><task>Work it out</task></tasks>"
        if prompt.kind == "assign":
            worker = next(name for name in prompt.workers.values() if name != "ID")
            return workforce.assignments([(task, worker, []) for task in prompt.subtasks])
        if prompt.kind == "judge":
            return workforce.judgement("fine", None)
        return workforce.as_answer(self.answer)


def ledger(*, satisfied, answer):
    values = {
        "is_request_satisfied": satisfied,
        "is_in_loop": False,
        "is_progress_being_made": True,
        "next_speaker": "expert",
        "instruction_or_question": "Please solve it.",
    }
    return json.dumps({name: {"reason": "so", "answer": value} for name, value in values.items()})
