"""Samples an architecture: per layer, the operators that are to run."""

import random


class LogProb:
    """As much of a tensor as matters here."""

    def __init__(self, value):
        self.value = value

    def tolist(self):
        return self.value

    item = tolist


class MultiLayerController:
    def __init__(self, seed=0):
        self.random, self.sampled = random.Random(seed), []

    def __call__(self, *args, **kwargs):
        return self.forward(*args, **kwargs)

    def forward(self, query, operators_embedding, selection_operator_names):
        self.sampled.append(query)
        first = self.random.choice(["Generate", "GenerateCoT"])
        layers = [[first], ["MultiGenerateCoT", "ScEnsemble"], ["Programmer"], ["EarlyStop"]]
        layers[3:] = [["Check"]] if "checked" in query else [["EarlyStop"]]
        return [LogProb(-self.random.random()) for _ in layers], layers
