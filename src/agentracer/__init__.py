"""agentracer."""
