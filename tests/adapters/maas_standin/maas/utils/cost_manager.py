"""What the calls have cost so far, over all problems that run at once."""


class CostManager:
    def __init__(self):
        self.total_cost = 0.0
