"""What agentracer knows of each framework without importing it, and the contract of an adapter.

    spec        `AdapterSpec`: trigger, tested versions, class roots, state keys
    registry    all specs, the built-in ones and those of plug-ins
    base        what an adapter has to do

The adapters themselves are in `agentracer.adapters`; the registry loads them by name.
"""
