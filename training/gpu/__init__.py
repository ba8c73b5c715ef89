"""Measurements that need a GPU. `--smoke` runs each with tiny shapes on a CPU, as a test."""
