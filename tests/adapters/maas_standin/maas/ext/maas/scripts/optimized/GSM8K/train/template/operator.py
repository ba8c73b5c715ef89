"""Another data set has operators of its own: same names, another base class."""


class Operator:
    def __init__(self, llm, name):
        self.llm, self.name = llm, name


class Generate(Operator):
    def __init__(self, llm, name="Generate"):
        super().__init__(llm, name)

    async def __call__(self, input, instruction):  # noqa: A002
        return {"response": await self.llm.aask(instruction + input)}
