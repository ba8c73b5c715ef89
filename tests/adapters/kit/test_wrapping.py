"""A wrapper is of the kind of what it wraps, and a call sees how it ended."""

from __future__ import annotations

import asyncio
import contextvars
import inspect

import pytest

from agentracer.adapters.kit.wrapping import Call, ReplayedOutput, around

scope = contextvars.ContextVar("scope", default=None)


class Team:
    def run(self, task):
        return self.work(task)

    async def arun(self, task):
        await asyncio.sleep(0)
        return self.work(task)

    def stream(self, task):
        sent = yield self.work(task)
        yield f"got {sent}"

    async def astream(self, task):
        yield self.work(task)
        yield "more"

    def decorated(self, task):
        return self.arun(task)

    def work(self, task):
        if task == "explode":
            raise KeyError(task)
        return f"{task} in {scope.get()}"


class Noted(Call):
    variable = scope

    def __init__(self, owner, args, kwargs):
        super().__init__(owner, args, kwargs)
        self.value, self.seen = "scope", []

    def saw(self, item):
        self.seen.append(item)

    def close(self, result, error):
        self.seen.append(("closed", result, type(error)))


def wrapped(name, change=None, begun=None):
    calls = []

    def begin(owner, args, kwargs):
        if begun is not None:
            raise begun
        call = Noted(owner, args, kwargs)
        if change is not None:
            change(call)
        calls.append(call)
        return call

    return around(begin, "toy")(vars(Team)[name]), calls


def consume(function, task="task"):
    """The results of a call, as a list."""
    if inspect.isasyncgenfunction(function):

        async def collect():
            return [item async for item in function(Team(), task)]

        return asyncio.run(collect())
    if inspect.isgeneratorfunction(function):
        return list(function(Team(), task))
    result = function(Team(), task)
    return [asyncio.run(result) if inspect.iscoroutine(result) else result]


KINDS = {"run": 1, "arun": 1, "stream": 2, "astream": 2, "decorated": 1}


@pytest.mark.parametrize("name", KINDS)
def test_the_wrapper_is_of_the_same_kind(name):
    function, _ = wrapped(name)
    for is_kind in (
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
    ):
        assert is_kind(function) == is_kind(vars(Team)[name])
    assert function.__wrapped__ is vars(Team)[name]


@pytest.mark.parametrize("name", KINDS)
def test_the_method_runs_inside_the_call_which_sees_how_it_ended(name):
    function, calls = wrapped(name)
    results = consume(function)
    assert results[0] == "task in scope"
    assert scope.get() is None
    assert calls[0].seen[-1] == ("closed", results[-1], type(None))


@pytest.mark.parametrize("name", KINDS)
def test_an_error_of_the_method_is_raised_and_noted(name):
    function, calls = wrapped(name)
    with pytest.raises(KeyError, match="explode"):
        consume(function, "explode")
    assert calls[0].seen == [("closed", None, KeyError)]


@pytest.mark.parametrize("name", KINDS)
def test_a_replays_output_is_given_instead_of_calling(name):
    def answer(call):
        call.output = ReplayedOutput("one", "two")

    function, calls = wrapped(name, answer)
    assert consume(function, "explode") == ["one", "two"][-KINDS[name] :]
    assert calls[0].seen == [("closed", "two", type(None))]


@pytest.mark.parametrize("name", KINDS)
def test_a_replays_error_is_raised_instead_of_calling(name):
    def answer(call):
        call.output = ReplayedOutput(error=LookupError("recorded"))

    function, calls = wrapped(name, answer)
    with pytest.raises(LookupError, match="recorded"):
        consume(function)
    assert calls[0].seen == [("closed", None, LookupError)]


@pytest.mark.parametrize("name", KINDS)
def test_what_the_method_is_called_with_may_be_changed(name):
    def change(call):
        call.args = ("other",)

    function, _ = wrapped(name, change)
    assert consume(function)[0] == "other in scope"


@pytest.mark.usefixtures("internal_errors")
@pytest.mark.parametrize("name", KINDS)
def test_an_error_of_ours_only_costs_the_call(name):
    function, calls = wrapped(name, begun=RuntimeError("ours"))
    assert consume(function)[0] == "task in None"
    assert calls == []


def test_a_generator_that_is_left_early_is_closed_once():
    function, calls = wrapped("stream")
    stream = function(Team(), "task")
    next(stream)
    stream.close()
    assert calls[0].seen == ["task in scope", ("closed", "task in scope", GeneratorExit)]


def test_what_is_sent_into_a_generator_reaches_it():
    function, _ = wrapped("stream")
    stream = function(Team(), "task")
    next(stream)
    assert stream.send("news") == "got news"


def test_an_async_generator_that_is_left_early_is_closed_once():
    function, calls = wrapped("astream")

    async def leave():
        stream = function(Team(), "task")
        await anext(stream)
        await stream.aclose()

    asyncio.run(leave())
    assert calls[0].seen == ["task in scope", ("closed", "task in scope", GeneratorExit)]


def test_a_cancelled_coroutine_is_noted_as_such():
    function, calls = wrapped("arun")

    async def cancel():
        task = asyncio.create_task(function(Team(), "task"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancel())
    assert calls[0].seen == [("closed", None, asyncio.CancelledError)]


def test_a_function_that_returns_an_async_iterable_can_be_wrapped_as_a_stream():
    class Stream:
        async def __aiter__(self):
            yield scope.get()

    seen = []

    def begin(owner, args, kwargs):
        seen.append(Noted(owner, args, kwargs))
        return seen[-1]

    function = around(begin, "toy", stream=True)(lambda owner: Stream())

    async def collect():
        return [item async for item in function(Team())]

    assert asyncio.run(collect()) == ["scope"]
    assert seen[0].seen == ["scope", ("closed", "scope", type(None))]
