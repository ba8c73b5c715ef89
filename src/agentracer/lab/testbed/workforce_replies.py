"""Build replies to the prompts of CAMEL's Workforce, from the same actions as in other teams.

split     the task agent plans                       errors of `plan`
assign    the coordinator hands over                 errors of `assign`: a result is lost
work      a worker does one step, or reports         errors of `call`, `state` and `report`
judge     the task agent checks one result           errors of `check`
"""

from __future__ import annotations

from dataclasses import replace

from agentracer.lab.testbed import workforce
from agentracer.lab.testbed.parsed_conversation import ParsedConversation
from agentracer.lab.testbed.problems import InjectedError, pick
from agentracer.lab.testbed.reply_builder import PolicySettings, ReplyBuilder
from agentracer.lab.testbed.server import ChatReply, ChatRequest

__all__ = ["WorkforceReplyBuilder"]


class WorkforceReplyBuilder:
    """One reply in a Workforce.

    Attributes:
        applied: the errors that were made in it.
    """

    def __init__(
        self, policy: PolicySettings, prompt: workforce.WorkforcePrompt, request: ChatRequest
    ) -> None:
        self._policy, self._prompt = policy, prompt
        conversation = ParsedConversation.read(prompt.conversation, policy.domain)
        self._builder = ReplyBuilder(policy, conversation, request, "", "")
        self.applied: list[InjectedError] = self._builder.applied

    def answer(self) -> ChatReply:
        """The reply, in the form that the Workforce wants."""
        prompt = self._prompt
        if prompt.kind == "split":
            points = [f"Do step {key}: {rest}" for key, rest in self._builder.plan_points()]
            return ChatReply(workforce.subtasks(points))
        if prompt.kind == "assign":
            return ChatReply(self._assign())
        if prompt.kind == "judge":
            return ChatReply(self._judge())
        reply = self._do()
        if reply.tool_calls:
            return reply
        return ChatReply(workforce.as_answer(reply.content or ""))

    def _do(self) -> ChatReply:
        content, builder = self._prompt.content, self._builder
        if content.startswith(workforce.PLAN):
            return builder.plan()
        if content.startswith(workforce.WORK):
            return builder.work_through()
        if content.startswith(workforce.REPORT):
            return builder.report()
        reply = builder.work()
        if reply.tool_calls or reply.content is None:
            return reply
        used = self._used()  # a judge sees the result alone, so the worker says what it built on
        return replace(reply, content=f"{reply.content}\n\nUsed: {used}" if used else reply.content)

    def _used(self) -> str:
        step, values = self._prompt.step, self._builder.conversation.values
        needs = self._policy.domain.needs(step[1]) if step else ()
        return "; ".join(f"{key} = {values[key]}" for key in needs if key in values)

    def _assign(self) -> str:
        prompt, policy = self._prompt, self._policy
        tasks, workers = prompt.subtasks, dict(prompt.workers or {})
        able = [i for d, i in workers.items() if "works" in d] or list(workers.values())
        chosen = []
        for number, task in enumerate(tasks):
            before = [earlier.id for earlier in tasks[:number]]
            error = self._builder.find_error("assign", task.key) if task.key else None
            if error is not None:
                before = [e.id for e in tasks[:number] if e.key != error.replacement]
            if task.key:
                worker = pick(able, policy.seed, policy.problem.id, task.key, "who")
            else:
                word = "plan" if task.content.startswith(workforce.PLAN) else "report"
                word = "work" if task.content.startswith(workforce.WORK) else word
                worker = next((i for d, i in workers.items() if word in d), able[0])
            chosen.append((task, worker, before))
        return workforce.assignments(chosen)

    def _judge(self) -> str:
        prompt, policy, domain = self._prompt, self._policy, self._policy.domain
        step, results = prompt.step, dict(domain.results_in(prompt.result))
        talk = self._builder.say
        if step is None or step[0] not in results:
            return workforce.judgement(talk("check passed", prompt.content), None)
        key, spec = step
        redone = prompt.content.startswith("Redo")
        errors = [s for s in policy.errors if s.action == "check" and s.key == key]
        alarm = next((s for s in errors if s.replacement and not redone), None)
        if alarm is not None:
            self.applied.append(alarm)
            return workforce.judgement(talk("check failed", key), (key, alarm.replacement))
        goal = policy.problem.goal(key)
        misplanned = policy.checks_plan and not redone and goal is not None and goal.spec != spec
        right = goal.spec if misplanned and goal is not None else spec
        if misplanned or domain.evaluate(spec, self._parts()) != results[key]:
            blind = next((s for s in errors if not s.replacement), None)
            if blind is None:
                return workforce.judgement(talk("check failed", key), (key, right))
            self.applied.append(blind)
        return workforce.judgement(talk("check passed", key), None)

    def _parts(self) -> dict[str, str]:
        """The results that the worker says it used."""
        _, _, used = self._prompt.result.partition("\n\nUsed: ")
        pairs = (pair.partition(" = ") for pair in used.strip().split("; ") if " = " in pair)
        return {key: value for key, _, value in pairs}
