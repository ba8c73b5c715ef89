"""Run the frameworks' own test suites without agentracer and with it, and compare the outcomes.

    python -m benchmarks.host_suites                         # all suites, about half an hour
    python -m benchmarks.host_suites --quick                 # a part of each, under three minutes
    python -m benchmarks.host_suites --suite langgraph
    python -m benchmarks.host_suites --suite camel-ai --source camel-ai=~/camel --tests test/agents

    suites.py             which suites there are, and what each needs
    environment.py        gets a suite from its source distribution, makes its environment
    recording_plugin.py   the pytest plugin: instruments, records each test, writes the outcomes
    compare.py            one suite's two runs beside each other

A suite is that of the version that is installed here. Its environment and its sources are under
`build/host-suites`, and are kept.
"""
