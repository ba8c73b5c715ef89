"""A place to watch real multi-agent teams fail, with the true cause known.

What it is: a local OpenAI-compatible server (`server`), small coding tasks with known wrong
solutions (`coding_tasks`), a scripted model that plays three roles and sometimes errs
(`coding_policy`), a real LangGraph team that talks to any OpenAI-compatible endpoint
(`coding_team`), and runs with a known decisive reply (`demo`). Tests, the demo and overhead
measurements use it, offline and without a GPU.

What it is not: a language model, or a measure of how well attribution works on one. The scripted
model errs in the few ways that its tasks describe, in prose that is written by hand; numbers from
the testbed say that the plumbing is right, and nothing about failures in the field.

Nothing here knows about capture or attribution: these look at a team from outside. The team needs
`langgraph`, `langchain` and `langchain-openai`; the other modules need the standard library only.
"""
