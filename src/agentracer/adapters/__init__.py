"""One place per framework: capture, replay seams and feedback of that framework together.

An adapter's module imports its framework at the top, and is itself only imported once the
framework is: see `agentracer.instrumentation`. The contract is in `agentracer.frameworks.base`.
"""
