"""Fits the ranker to labelled runs. Needs numpy and scipy (the extra `adapt`)."""
