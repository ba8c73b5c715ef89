"""Data files of the natural tasks (TOML); `agentracer.lab.natural.tasks` reads them."""
