"""Credit for MaAS: better prompts for a blamed operator, and credit by layer for its controller.

MaAS samples, for each problem, operators for each layer of an architecture, and trains the sampler
by REINFORCE with one score for the whole episode. A verdict says more: which operator, in which
layer, made the episode fail. It can be used in two places:

- `PromptCredit` swaps the prompt constant of the blamed operator, in the module that uses it. MaAS
  imports these with `import *`, so that editing its file changes nothing in a running program.
- `layer_credit` gives each layer a score of its own, and `policy_loss` is the loss of MaAS's
  policy gradient with these in place of the one score.

See `docs/evolution.md` for defects of the published head that stand in the way of either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from agentracer.evolution.attributors import Attribution
from agentracer.evolution.changes import Change, digest
from agentracer.evolution.quoting import as_data
from agentracer.evolution.strategies.base import RoundState, Strategy
from agentracer.evolution.team import Task
from agentracer.trace import Trace
from agentracer.verdict import Verdict

__all__ = ["PromptCredit", "ReplacePrompt", "layer_credit", "policy_loss"]

COST_WEIGHT = 3.0
"""What MaAS takes off the score for each unit of cost."""


@dataclass(frozen=True, kw_only=True)
class ReplacePrompt(Change):
    """One prompt constant has another text.

    Attributes:
        module: the operators' module.
        name: of the constant.
        text: what it is set to; a format string, as MaAS uses it.
    """

    module: ModuleType = field(compare=False, repr=False)
    name: str
    text: str

    def put(self, system: Any, task: Task) -> Callable[[], None]:
        """See `Change`."""
        del system, task
        before = getattr(self.module, self.name)
        setattr(self.module, self.name, self.text)
        return lambda: setattr(self.module, self.name, before)


class PromptCredit(Strategy):
    """Puts a lesson into the prompt constant of the operator that is blamed most.

    Args:
        module: the operators' module, such as `...MATH.train.template.operator`.
        prompts: by operator, the name of the constant that its prompt is made of.
        write: given the prompt and the verdict, the new prompt; by default a lesson in front of it.
        longest: characters of that lesson.

    Raises:
        ValueError: the module has no such constant.
    """

    name = "MaAS prompts"

    def __init__(
        self,
        module: ModuleType,
        prompts: Mapping[str, str],
        *,
        write: Callable[[str, Attribution], str] | None = None,
        longest: int = 600,
    ) -> None:
        missing = next((name for name in prompts.values() if not hasattr(module, name)), None)
        if missing is not None:
            raise ValueError(f"{module.__name__} has no {missing}")
        self._module, self._prompts, self._longest = module, dict(prompts), longest
        self._write = write or self._lesson_first

    def propose(
        self, attributions: Sequence[Attribution], state: RoundState, /
    ) -> Sequence[Change]:
        """See `Strategy`."""
        mine = [
            attribution
            for attribution in attributions
            if attribution.verdict.agent in self._prompts
        ]
        agents = [str(attribution.verdict.agent) for attribution in mine]
        for agent in sorted(set(agents), key=lambda name: (-agents.count(name), name)):
            for attribution in (
                attribution for attribution in mine if attribution.verdict.agent == agent
            ):
                change = self._change(agent, attribution, state)
                if change is not None:
                    return (change,)
        return ()

    def _change(
        self, agent: str, attribution: Attribution, state: RoundState
    ) -> ReplacePrompt | None:
        name = self._prompts[agent]
        before = next(
            (c for c in state.kept if isinstance(c, ReplacePrompt) and c.name == name), None
        )
        text = self._write(before.text if before else getattr(self._module, name), attribution)
        identity = digest("maas prompt", name, text)
        if identity in state.retracted or (before is not None and before.text == text):
            return None
        return ReplacePrompt(
            id=identity,
            agent=agent,
            says=f"{name} rewritten",
            why=attribution.verdict.reason,
            evidence=(attribution.verdict.trace_id,),
            replaces=(before.id,) if before else (),
            module=self._module,
            name=name,
            text=text,
        )

    def _lesson_first(self, prompt: str, attribution: Attribution) -> str:
        lesson = as_data(attribution.verdict.reason, self._longest)
        if lesson in prompt:
            return prompt
        return f"{_literal(lesson)}\n\n{prompt}"


def layer_credit(
    trace: Trace, verdict: Verdict, score: float, *, blame: float = 1.0
) -> list[float]:
    """A score for each layer of the sampled architecture, in place of one for the episode.

    A problem that was solved, or whose verdict abstains, gives every layer the episode's score. In
    one that failed, the layer of the blamed step is charged with `blame`, and the others with
    nothing: they would have done. With a confidence below 1, the rest of the charge is shared.

    Args:
        trace: of one problem, with the layers that the MaAS adapter records.
        verdict: on it.
        score: of the episode, 0 to 1.
        blame: what the blamed layer is charged with.

    Returns:
        As many scores as the architecture has layers.

    Raises:
        ValueError: the trace has no sampled architecture.
    """
    facts: Any = trace.metadata.get("maas") or {}
    layers = facts.get("layers")
    if not layers:
        raise ValueError(f"trace {trace.id} has no architecture: it was not recorded from MaAS")
    count = len(layers)
    step = trace.steps[verdict.step] if verdict.step is not None else None
    layer = step.attributes.get("layer") if step is not None else None
    if trace.outcome.success or not isinstance(layer, int) or not 0 <= layer < count:
        return [score] * count
    proved = verdict.verification is not None and verdict.verification.status == "confirmed"
    sure = 1.0 if proved else verdict.confidence
    shared = (1.0 - sure) * blame / count
    return [score - shared - (sure * blame if n == layer else 0.0) for n in range(count)]


def policy_loss(
    log_probs: Sequence[Any], credit: Sequence[float], cost: float, *, weight: float = COST_WEIGHT
) -> Any:
    """MaAS's REINFORCE loss of one problem, with a score for each layer.

    MaAS's own is `-(sum of log-probs) * (score - 3 * cost)`; with the same score in every layer
    this is that. Works on tensors of any library, which keep their gradients, and on numbers.

    Args:
        log_probs: of the layers that were sampled, as the controller returned them.
        credit: a score for each; see `layer_credit`.
        cost: of the problem.
        weight: what is taken off the score for each unit of cost.

    Raises:
        ValueError: there are not as many scores as log-probs.
    """
    if len(log_probs) != len(credit):
        raise ValueError(f"{len(log_probs)} log-probs, {len(credit)} scores")
    terms = [-(log * (one - weight * cost)) for log, one in zip(log_probs, credit, strict=True)]
    return sum(terms[1:], terms[0]) if terms else 0.0


def _literal(text: str) -> str:
    """Text that `str.format` leaves as it is."""
    return text.replace("{", "{{").replace("}", "}}")
