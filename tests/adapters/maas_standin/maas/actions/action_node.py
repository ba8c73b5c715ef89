"""Fills the fields of an operator's answer by asking the model."""

import re


class ActionNode:
    def __init__(self, field):
        self.field = field

    async def fill(self, context, llm, mode="single_fill"):
        content = await llm.aask(context)
        if mode == "code_fill":
            content = re.search(r"```python\n(.*?)```", content, re.DOTALL).group(1)
        return {self.field: content}
