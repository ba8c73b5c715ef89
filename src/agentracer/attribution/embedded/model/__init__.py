"""Ranks the steps of a run: features, the catalogue of them, the ranker, and its calibration."""
