"""Training of tracers: TracerTraj in, a checkpoint that `Tracer` loads out. See `README.md`."""
