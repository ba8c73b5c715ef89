"""Natural tasks and teams: ordinary prompts, for a real model behind an OpenAI-compatible server.

data/       tasks in everyday language, each with what its check needs
checks.py   from a result text to right or wrong; plans.py does it for plans
tasks.py    the tasks, loaded
"""
