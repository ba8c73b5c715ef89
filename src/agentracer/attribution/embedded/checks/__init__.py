"""Checks of a run that need no language model, and the kinds of findings that they report."""
