"""Replies to the prompts of CAMEL's Workforce, made of the same acts as those of any other team.

split     the task agent plans                       slips of `plan`
assign    the coordinator hands over                 slips of `assign`: a result is not passed on
work      a worker does one step, or reports         slips of `call`, `state` and `report`
judge     the task agent checks one result           slips of `check`
"""

from __future__ import annotations

from dataclasses import replace

from agentracer.lab.testbed import workforce
from agentracer.lab.testbed.problems import Slip, pick
from agentracer.lab.testbed.scene import Scene
from agentracer.lab.testbed.server import ChatReply, ChatRequest
from agentracer.lab.testbed.turns import Character, Turn

__all__ = ["WorkforceTurn"]


class WorkforceTurn:
    """One reply in a Workforce.

    Attributes:
        made: the slips that befell it.
    """

    def __init__(self, policy: Character, ask: workforce.Ask, request: ChatRequest) -> None:
        self._policy, self._ask = policy, ask
        scene = Scene.read(ask.conversation, policy.domain)
        self._turn = Turn(policy, scene, request, "", "")
        self.made: list[Slip] = self._turn.made

    def answer(self) -> ChatReply:
        """The reply, in the form that the Workforce wants."""
        ask = self._ask
        if ask.kind == "split":
            points = [f"Do step {key}: {rest}" for key, rest in self._turn.plan_points()]
            return ChatReply(workforce.subtasks(points))
        if ask.kind == "assign":
            return ChatReply(self._assign())
        if ask.kind == "judge":
            return ChatReply(self._judge())
        reply = self._do()
        if reply.tool_calls:
            return reply
        return ChatReply(workforce.as_answer(reply.content or ""))

    def _do(self) -> ChatReply:
        content, turn = self._ask.content, self._turn
        if content.startswith(workforce.PLAN):
            return turn.plan()
        if content.startswith(workforce.WORK):
            return turn.work_through()
        if content.startswith(workforce.REPORT):
            return turn.report()
        reply = turn.work()
        if reply.tool_calls or reply.content is None:
            return reply
        used = self._used()  # a judge sees the result alone, so the worker says what it built on
        return replace(reply, content=f"{reply.content}\n\nUsed: {used}" if used else reply.content)

    def _used(self) -> str:
        step, values = self._ask.step, self._turn.scene.values
        needs = self._policy.domain.needs(step[1]) if step else ()
        return "; ".join(f"{key} = {values[key]}" for key in needs if key in values)

    def _assign(self) -> str:
        ask, policy = self._ask, self._policy
        tasks, workers = ask.subtasks, dict(ask.workers or {})
        able = [i for d, i in workers.items() if "works" in d] or list(workers.values())
        chosen = []
        for number, task in enumerate(tasks):
            before = [earlier.id for earlier in tasks[:number]]
            slip = self._turn.find_slip("assign", task.key) if task.key else None
            if slip is not None:
                before = [e.id for e in tasks[:number] if e.key != slip.says]
            if task.key:
                worker = pick(able, policy.seed, policy.problem.id, task.key, "who")
            else:
                word = "plan" if task.content.startswith(workforce.PLAN) else "report"
                word = "work" if task.content.startswith(workforce.WORK) else word
                worker = next((i for d, i in workers.items() if word in d), able[0])
            chosen.append((task, worker, before))
        return workforce.assignments(chosen)

    def _judge(self) -> str:
        ask, policy, domain = self._ask, self._policy, self._policy.domain
        step, results = ask.step, dict(domain.results_in(ask.result))
        talk = self._turn.say
        if step is None or step[0] not in results:
            return workforce.judgement(talk("check passed", ask.content), None)
        key, spec = step
        redone = ask.content.startswith("Redo")
        slips = [s for s in policy.slips if s.act == "check" and s.key == key]
        alarm = next((s for s in slips if s.says and not redone), None)
        if alarm is not None:
            self.made.append(alarm)
            return workforce.judgement(talk("check failed", key), (key, alarm.says))
        goal = policy.problem.goal(key)
        misplanned = policy.keen and not redone and goal is not None and goal.spec != spec
        right = goal.spec if misplanned and goal is not None else spec
        if misplanned or domain.evaluate(spec, self._given()) != results[key]:
            blind = next((s for s in slips if not s.says), None)
            if blind is None:
                return workforce.judgement(talk("check failed", key), (key, right))
            self.made.append(blind)
        return workforce.judgement(talk("check passed", key), None)

    def _given(self) -> dict[str, str]:
        """The results that the worker says it used."""
        _, _, used = self._ask.result.partition("\n\nUsed: ")
        pairs = (pair.partition(" = ") for pair in used.strip().split("; ") if " = " in pair)
        return {key: value for key, _, value in pairs}
