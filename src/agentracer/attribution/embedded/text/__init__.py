"""Reads the text of a run: figures, assignments, code, roles, and the facts of each step."""
