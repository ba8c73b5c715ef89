"""Credit assignment in systems of real programs: what `benchmarks/evolution.py` measures."""
