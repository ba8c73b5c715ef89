"""Natural tasks and teams: ordinary prompts, for a real model behind an OpenAI-compatible server.

data/       tasks in everyday language, each with what its check needs
checks.py   from a result text to right or wrong; plans.py does it for plans
tasks.py    the tasks, loaded; tools.py what the teams may use
teams/      the teams, one module per framework
systems.py  the teams by name; run one on a task and record it
collection.py  runs by a plan, resumable, as rows without labels
"""
