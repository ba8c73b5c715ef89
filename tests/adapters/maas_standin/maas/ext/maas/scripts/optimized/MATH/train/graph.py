"""Runs the operators that the controller selects."""

import maas.ext.maas.scripts.optimized.MATH.train.template.operator as operator
from maas.ext.maas.scripts.optimized.MATH.train.template.operator import (
    Check,
    EarlyStop,
    Generate,
    GenerateCoT,
    MultiGenerateCoT,
    Programmer,
    ScEnsemble,
)

SELECTABLE = (Generate, GenerateCoT, MultiGenerateCoT, ScEnsemble, Programmer, Check, EarlyStop)


class Workflow:
    def __init__(self, name, llm, dataset, controller, operator_embeddings=()):
        self.name, self.llm, self.dataset = name, llm, dataset
        self.controller, self.operator_embeddings = controller, operator_embeddings
        self.custom = operator.Generate(llm)
        self.selection_operator_instances = {kind.__name__: kind(llm) for kind in SELECTABLE}

    async def __call__(self, problem):
        log_probs, layers = self.controller.forward(
            problem, self.operator_embeddings, list(self.selection_operator_instances)
        )
        solution, solutions, total = "", [], 0.0
        for log_prob, names in zip(log_probs, layers, strict=True):
            for name in names:
                if name == "EarlyStop":
                    break
                solution = await self._run(name, problem, solution, solutions)
            total += log_prob.item()
        return solution, self.llm.cost_manager.total_cost, total

    async def _run(self, name, problem, solution, solutions):
        selected = self.selection_operator_instances[name]
        if name == "Programmer":
            found = await selected(problem=problem, analysis=solution)
            refined = await self.custom(input=found["output"], instruction="Report: ")
            return refined["response"]
        if name == "ScEnsemble":
            return (await selected(problem=problem, solutions=solutions))["response"]
        if name == "Check":
            return solution if (await selected(solution=solution))["result"] else ""
        response = (await selected(input=problem, instruction="Add.\n"))["response"]
        solutions += response if isinstance(response, list) else [response]
        return solutions[-1]
