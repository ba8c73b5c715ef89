"""The operators of one data set."""

from maas.actions.action_node import ActionNode
from maas.ext.maas.scripts.optimized.MATH.train.template.op_prompt import *  # noqa: F403

executed = []


class Operator:
    def __init__(self, llm, name):
        self.llm, self.name = llm, name

    def __call__(self, *args, **kwargs):
        raise NotImplementedError

    async def _fill_node(self, field, prompt, mode="single_fill"):
        return await ActionNode(field).fill(context=prompt, llm=self.llm, mode=mode)


class Generate(Operator):
    def __init__(self, llm, name="Generate"):
        super().__init__(llm, name)

    async def __call__(self, input, instruction):  # noqa: A002
        return await self._fill_node("response", instruction + input)


class GenerateCoT(Operator):
    def __init__(self, llm, name="GenerateCoT"):
        super().__init__(llm, name)

    async def __call__(self, input, instruction):  # noqa: A002
        prompt = GENERATE_COT_PROMPT.format(input=input, instruction=instruction)  # noqa: F405
        return await self._fill_node("response", prompt)


class MultiGenerateCoT(Operator):
    def __init__(self, llm, name="MultiGenerateCoT"):
        super().__init__(llm, name)

    async def __call__(self, input, instruction):  # noqa: A002
        prompt = GENERATE_COT_PROMPT.format(input=input, instruction=instruction)  # noqa: F405
        found = [await self._fill_node("response", prompt) for _ in range(3)]
        return {"response": [each["response"] for each in found]}


class ScEnsemble(Operator):
    def __init__(self, llm, name="ScEnsemble"):
        super().__init__(llm, name)

    async def __call__(self, problem, solutions):
        lines = "\n".join(f"{'ABCDEFGH'[i]}: {text}" for i, text in enumerate(solutions))
        prompt = SC_ENSEMBLE_PROMPT.format(solutions=lines)  # noqa: F405
        letter = (await self._fill_node("solution_letter", prompt))["solution_letter"]
        return {"response": solutions["ABCDEFGH".index(letter.strip())]}


class Programmer(Operator):
    def __init__(self, llm, name="Programmer"):
        super().__init__(llm, name)

    async def exec_code(self, code, timeout=30):  # noqa: ASYNC109 - MaAS's signature
        executed.append(code)
        return "Success", str(eval(code))

    async def __call__(self, problem, analysis="None"):
        prompt = PROGRAMMER_PROMPT.format(problem=problem, analysis=analysis)  # noqa: F405
        code = (await self._fill_node("code", prompt, mode="code_fill"))["code"].strip()
        _status, output = await self.exec_code(code)
        return {"code": code, "output": output}


class Check(Operator):
    def __init__(self, llm, name="Check"):
        super().__init__(llm, name)

    async def __call__(self, solution):
        return {"result": "ANSWER" in solution}


class EarlyStop(Operator):
    def __init__(self, llm, name="EarlyStop"):
        super().__init__(llm, name)

    async def __call__(self):
        return NotImplementedError
