"""MaAS (the agentic supernet, a fork of MetaGPT), as its checkout has it.

MaAS is not on PyPI, so this adapter imports nothing of it. It looks for classes by name in whatever
modules of the package `maas` the program imports, now or later, and for their subclasses anywhere:

    Workflow.__call__             one problem: a run. Its (answer, cost, log-prob) is the outcome
    MultiLayerController.forward  the sampled architecture: a `tool` step named `sample`
    Operator.__call__             an agent of the operator's name
    Operator.exec_code            running what a model wrote: a `tool` step of that operator
    BaseLLM.aask                  an `llm` step of the operator that asks: the seam of replay

An operator that asks nothing and runs nothing, or raises by itself, becomes a `node` step. Steps of
one operator call share the attribute `call` (such as `ScEnsemble#2`); `path` is the place, `layer`
the layer of the sampled architecture, `returned` what the operator made of the answers it got.
`Trace.metadata["maas"]` holds the layers, their log-probs, the cost and the sum of log-probs: of
the last problem, where a `record()` block holds several. (MaAS's cost mixes problems run at once.)
In a replay the sample comes from the record, its log-probs as constants, without a gradient.

Tested against a stand-in of the same shape (`tests/adapters/maas_standin`), not against a checkout.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from agentracer._guard import guard
from agentracer.adapters.kit.calls import ModelStep, ToolStep, replay_mode
from agentracer.adapters.kit.patching import Patches
from agentracer.adapters.kit.scope import RunScope
from agentracer.adapters.kit.wrapping import Call, ReplayedOutput, around
from agentracer.frameworks.base import AppliedAdvice
from agentracer.recorder import RunRecorder, describe_error
from agentracer.recording import Run, current_run
from agentracer.replay.session import ToolAnswer, recorded_error
from agentracer.trace import ErrorInfo

__all__ = ["adapter"]

_C = TypeVar("_C", bound="_Call")
_current: contextvars.ContextVar[_Call | None] = contextvars.ContextVar("maas_call", default=None)
_counts: WeakKeyDictionary[Run, Counter[str]] = WeakKeyDictionary()
_advice: dict[tuple[int, str], tuple[Any, list[str]]] = {}  # keeps systems alive: ids stay theirs


class _Call(Call):
    """A call of a wrapped method. Problems that run at once never see each other's calls.

    Attributes:
        chain: this call, and those that it runs in.
        result: what the method returned, or a replay gave.
    """

    variable = _current
    agent = path = ""
    step: int | None = None
    result: Any = None

    def __init__(self, signature: inspect.Signature, owner: Any, args: Any, kwargs: Any) -> None:
        super().__init__(owner, args, kwargs)
        outer = _current.get()
        self.chain: list[_Call] = [self, *(outer.chain if outer is not None else ())]
        self.run: Run | None = outer.run if outer is not None else current_run()
        self.started = time.time()
        bound = signature.bind(owner, *args, **kwargs).arguments
        self.inputs: dict[str, Any] = dict(list(bound.items())[1:])
        self.begin()

    def begin(self) -> None:
        """Note that it starts; may change what it is called with, or answer it."""

    def end(self, error: BaseException | None) -> None:
        """Note its result."""

    def close(self, result: Any, error: BaseException | None) -> None:
        """It has returned or raised."""
        self.result = result
        self.end(error)

    def around(self, kind: type[_C]) -> _C | None:
        """The nearest call of that kind: this one, or one that it runs in."""
        return next((call for call in self.chain if isinstance(call, kind)), None)

    def act_as(self) -> RunRecorder | None:
        """Act for the operator (or workflow) that this call runs in."""
        scope = self.around(_OperatorCall) or self.around(_WorkflowCall)
        name = type(self.owner).__name__
        self.agent, self.path = (scope.agent, scope.path) if scope is not None else (name, name)
        return self.run.recorder if self.run is not None else None

    def place(self) -> dict[str, Any]:
        """Fields of the step that this call is."""
        operator = self.around(_OperatorCall)
        facts = {"call": operator.call, "layer": operator.layer} if operator is not None else {}
        return {"attributes": facts, "started_at": self.started}

    def wrote(self, error: BaseException | None, *texts: str) -> Any:
        """Note that a step accounts for these texts and this error; gives the error's record."""
        for call in self.chain:
            if isinstance(call, _OperatorCall):
                call.last_step, call.said = self.step, [*call.said, *texts]
                call.errors += [error] if error is not None else []
        return describe_error(error) if isinstance(error, Exception) else None

    def answered(self, error: ErrorInfo | None, give: Callable[[], Any]) -> None:
        """Give what a replay answers instead of calling."""
        failure = recorded_error(error) if error is not None else None
        self.output = ReplayedOutput(error=failure) if failure else ReplayedOutput(give())


class _WorkflowCall(_Call):
    """One problem being solved."""

    def begin(self) -> None:
        self.agent = self.path = type(self.owner).__name__
        self.facts: dict[str, Any] = {}
        self.waiting: list[tuple[int, str]] = []
        self.layer: int | None = None
        self.root = RunScope("maas", self.run)
        self.run = self.root.open(_text(next(iter(self.inputs.values()), "")))

    def end(self, error: BaseException | None) -> None:
        answer = None
        with guard("maas.outcome"):  # whatever is wrong with the result, the run has to end
            if error is None:
                answer, *rest = self.result if isinstance(self.result, tuple) else (self.result,)
                self.note(**dict(zip(("cost", "log_prob"), map(_plain, rest), strict=False)))
        self.root.end(self.result, _text(answer), error)

    def note(self, **facts: Any) -> None:
        """Add to the trace's metadata."""
        self.facts.update(facts)
        if self.run is not None:
            self.run.annotate(maas=dict(self.facts))

    def layer_of(self, operator: Any, name: str) -> int | None:
        """The layer that is being run: `operator`'s own, if the controller has selected it.

        A workflow keeps the operators to select from in a dict. Others of the same class, which it
        calls by itself, help in the layer that is being run.
        """
        pools = [value for value in vars(self.owner).values() if isinstance(value, dict)]
        pool = [item for holder in pools for item in holder.values() if _is_operator(type(item))]
        if not pool or any(item is operator for item in pool):
            for position, (layer, selected) in enumerate(self.waiting):
                if selected in (name, type(operator).__name__):
                    self.layer, self.waiting = layer, self.waiting[position + 1 :]
                    break
        return self.layer


class _OperatorCall(_Call):
    """An operator at work: its steps are what it asks and runs, or itself if it does neither."""

    last_step: int | None = None

    def begin(self) -> None:
        self.agent = _name_of(self.owner)
        self.path = "/".join([*(call.path for call in self.chain[1:2]), self.agent])
        counts = _counts.setdefault(self.run, Counter()) if self.run is not None else Counter()
        counts[self.path] += 1
        self.call = f"{self.agent}#{counts[self.path]}"
        self.said: list[str] = []
        self.errors: list[BaseException] = []
        workflow = self.around(_WorkflowCall)
        self.layer = workflow.layer_of(self.owner, self.agent) if workflow is not None else None
        if self.run is not None:
            self.run.describe(framework="maas")

    def end(self, error: BaseException | None) -> None:
        if self.run is None or any(earlier is error for earlier in self.errors):
            return
        recorder, own = self.run.recorder, isinstance(error, Exception)
        if own or (error is None and self.last_step is None):
            lines = [f"{name}: {_text(value)}" for name, value in self.inputs.items()]
            reads = [recorder.message("user", "\n".join(lines))] if lines else None
            recorder.agent(self.agent)
            place = self.place()
            place["attributes"]["path"] = self.path
            self.step = recorder.begin_step(self.agent, kind="node", reads=reads, **place)
            failure = self.wrote(error, *_strings(self.result))
            text = None if own else _text(self.result)
            recorder.end_step(self.step, content=text, error=failure)
        elif error is None and self.last_step is not None:
            content = "\n".join(self.said)
            if any(text not in content for text in _strings(self.result)):
                recorder.update_step(self.last_step, attributes={"returned": self.result})


class _AskCall(_Call):
    """A question to the model."""

    def begin(self) -> None:
        recorder = self.act_as()
        self._advise()
        if recorder is None or self.run is None:
            return
        recorder.agent(self.agent)
        name = getattr(self.owner, "model", None)
        model = {"name": name} if isinstance(name, str) else None
        reads = self._reads(recorder)
        step = ModelStep(self.run, self.agent, reads, path=self.path, model=model, **self.place())
        self.step = step.index
        if (answer := step.answer) is not None:
            self.answered(answer.error, lambda: answer.content)

    def end(self, error: BaseException | None) -> None:
        if self.run is not None and self.step is not None:
            text = _text(self.result) if error is None else None
            failure = self.wrote(error, *_strings(text))
            self.run.recorder.end_step(self.step, content=text, error=failure)

    def _advise(self) -> None:
        """Put the lessons for this agent of the systems around it in front of its prompt."""
        systems = [s for call in self.chain for s in (call.owner, type(call.owner))]
        keys = dict.fromkeys((id(system), self.agent) for system in systems) if _advice else ()
        lesson = "\n\n".join(text for key in keys for text in _advice.get(key, (0, []))[1])
        if lesson:
            prompt = self.inputs["msg"]
            plain = isinstance(prompt, str)
            first = f"{lesson}\n\n{prompt}" if plain else [{"role": "user", "content": lesson}]
            self.inputs["msg"] = first if plain else [*first, *prompt]
            self.args, self.kwargs = (), self.inputs

    def _reads(self, recorder: RunRecorder) -> list[str]:
        """The prompt as `BaseLLM.aask` puts it together."""
        asked, images = self.inputs["msg"], self.inputs.get("images")
        systems = self.inputs.get("system_msgs") or [getattr(self.owner, "system_prompt", None)]
        systems = systems if getattr(self.owner, "use_system_prompt", True) else []
        prompt = [{"role": "system", "content": text} for text in systems if text]
        prompt += self.inputs.get("format_msgs") or []
        prompt += [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
        reads = [recorder.message(m.get("role", "user"), m.get("content", "")) for m in prompt]
        return [*reads, recorder.message("user", {"images": images})] if images else reads


class _ToolCall(_Call):
    """An operator runs what a model wrote: nothing that a replay should do again."""

    name = "exec_code"

    def begin(self) -> None:
        recorder = self.act_as()
        if recorder is None or self.run is None:
            return
        recorder.agent(self.agent)
        place = self.place()
        self.call = ToolStep(self.run, self.agent, self.name, self.inputs, path=self.path, **place)
        self.step = self.call.index
        if (answer := self.usable(self.call.answer)) is not None:
            self.answered(answer.error, lambda: self.restored(answer))
        elif self.call.answer is not None:
            recorder.update_step(self.step, attributes=replay_mode(self.run, None))

    def end(self, error: BaseException | None) -> None:
        if self.run is None or self.step is None:
            return
        result = self.stored() if error is None else None
        self.call.end(result, self.wrote(error, *_strings(self.result)))

    def usable(self, answer: ToolAnswer | None) -> ToolAnswer | None:
        """The replay's answer, if it is one for this call."""
        return answer

    def stored(self) -> Any:
        """The result as it is recorded."""
        return self.result

    def restored(self, answer: ToolAnswer) -> Any:
        """The result that the record, or an override, stands for."""
        return answer.result


class _SampleCall(_ToolCall):
    """The controller samples an architecture: per layer, the operators that are to run."""

    name = "sample"

    def act_as(self) -> RunRecorder | None:
        self.agent = self.path = type(self.owner).__name__
        self.inputs = {"query": next(iter(self.inputs.values()), "")}  # the others are embeddings
        return self.run.recorder if self.run is not None else None

    def usable(self, answer: ToolAnswer | None) -> ToolAnswer | None:
        # A policy that lets no tools run does not mean this one: it is how the system is wired.
        return answer if answer is not None and answer.mode != "refused" else None

    def stored(self) -> Any:
        log_probs, selected = self.result
        layers = [[str(name) for name in names] for names in selected]
        if (workflow := self.around(_WorkflowCall)) is not None:
            workflow.note(layers=layers, log_probs=_plain(log_probs))
            workflow.waiting = [(i, name) for i, names in enumerate(layers) for name in names]
        return {"layers": layers, "log_probs": _plain(log_probs, "tensor")}

    def restored(self, answer: ToolAnswer) -> Any:
        recorded = answer.result if isinstance(answer.result, dict) else {"layers": answer.result}
        layers, layer_facts = recorded["layers"], recorded.get("log_probs", [])
        if isinstance(layer_facts, list):  # an override may have other layers than the record
            layer_facts = [*layer_facts, *[{"tensor": 0.0}] * len(layers)][: len(layers)]
        return _tensors(layer_facts), [list(names) for names in layers]


_METHODS: Final[dict[str, dict[str, type[_Call]]]] = {
    "Workflow": {"__call__": _WorkflowCall},
    "Operator": {"__call__": _OperatorCall, "exec_code": _ToolCall},
    "BaseLLM": {"aask": _AskCall},
    "MultiLayerController": {"forward": _SampleCall},
}


def _wrapper(original: Any, kind: type[_Call]) -> Callable[[Any], Any]:
    signature = inspect.signature(original)

    def begin(owner: Any, args: Any, kwargs: Any) -> _Call | None:
        outer = _current.get()
        if type(outer) is kind and outer.owner is owner:  # super() of a wrapped method
            return None
        return kind(signature, owner, args, kwargs)

    return around(begin, f"maas.{original.__qualname__}")


class _MaasAdapter:
    """See `agentracer.frameworks.base.Adapter`."""

    name = "maas"

    def __init__(self) -> None:
        self._patches = Patches(self.name)

    def install(self) -> None:
        with self._patches.transaction():
            self._patches.on_import_within("maas", self._adopt)

    def uninstall(self) -> None:
        self._patches.undo()
        _advice.clear()

    def advise(self, system: Any, agent: str, text: str) -> AppliedAdvice:
        """Put `text` in front of every prompt of one operator.

        Args:
            system: a workflow, a single operator, or the class of either: all of its instances,
                also those that MaAS's evaluator makes later.
            agent: the operator's name.
            text: the lesson; braces are harmless, for it is added after `.format`.
        """
        agents = sorted(set(_agents_of(system)))
        if agent not in agents:
            raise ValueError(f"no operator {agent!r} in this system; there are {', '.join(agents)}")
        key = (id(system), agent)
        _advice.setdefault(key, (system, []))[1].append(text)

        def retract() -> None:
            texts = _advice.get(key, (system, []))[1]
            if text in texts:
                texts.remove(text)
            if not texts:
                _advice.pop(key, None)

        return AppliedAdvice(agent=agent, text=text, undo=retract)

    def _adopt(self, module: ModuleType) -> None:
        for name, methods in _METHODS.items():
            constant = vars(module).get(name)
            if not isinstance(constant, type) or constant.__module__ != module.__name__:
                continue
            if not self._patches.is_patched(constant, "__init_subclass__"):
                self._patches.subclasses(constant, functools.partial(self._wrap_own, methods))

    def _wrap_own(self, methods: dict[str, type[_Call]], owner: type) -> None:
        for name, kind in methods.items():
            original = vars(owner).get(name)
            # Patched already: found as a subclass, and by its own name.
            if inspect.isfunction(original) and not self._patches.is_patched(owner, name):
                self._patches.wrap(owner, name, _wrapper(original, kind))


def _is_operator(found: Any) -> bool:
    bases = found.__mro__[1:] if isinstance(found, type) else ()
    return any(b.__name__ == "Operator" and b.__module__.startswith("maas.") for b in bases)


def _name_of(operator: Any) -> str:
    name = getattr(operator, "name", None)
    return name if isinstance(name, str) and name else type(operator).__name__


def _agents_of(system: Any) -> Iterator[str]:
    """The operators of a workflow: those it holds, or those that its class's module knows."""
    if _is_operator(system) or _is_operator(type(system)):
        yield _name_of(system) if not isinstance(system, type) else system.__name__
    elif isinstance(system, type):
        names = vars(sys.modules[system.__module__]).values()
        inner = [vars(holder).values() for holder in names if isinstance(holder, ModuleType)]
        for holder in [*names, *(item for values in inner for item in values)]:
            if _is_operator(holder):
                yield holder.__name__
    else:
        for value in vars(system).values():
            held = value.values() if isinstance(value, dict) else [value]
            yield from (_name_of(item) for item in held if _is_operator(type(item)))


def _text(value: Any) -> Any:
    """The text in an operator's result, or the result as it is: the recorder takes any."""
    values = list(value.values()) if isinstance(value, dict) else [value]
    return values[0] if len(values) == 1 and isinstance(values[0], str) else value


def _strings(value: Any) -> list[str]:
    if isinstance(value, (dict, list, tuple)):
        values = value.values() if isinstance(value, dict) else value
        return [text for item in values for text in _strings(item)]
    return [value] if isinstance(value, str) and value.strip() else []


def _plain(value: Any, mark: str | None = None) -> Any:
    """Numbers, and tensors of any library as numbers, marked as such if wanted."""
    if hasattr(value, "tolist"):
        return {mark: value.tolist()} if mark else value.tolist()
    return [_plain(v, mark) for v in value] if isinstance(value, (list, tuple)) else value


def _tensors(value: Any) -> Any:
    """The inverse of `_plain`; nothing is imported, so tensors need torch to be loaded."""
    if isinstance(value, dict):
        torch: Any = sys.modules.get("torch")
        return torch.tensor(value["tensor"]) if torch is not None else value["tensor"]
    return [_tensors(item) for item in value] if isinstance(value, list) else value


adapter: Final = _MaasAdapter()
