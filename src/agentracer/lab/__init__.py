"""The laboratory: scripted teams, labelled collections of failures, benchmarks and the demo.

    testbed      multi-agent systems that run against a scripted model and fail in known ways
    collect      TracerTraj: labelled failures from runs of the testbed
    bench        strict scores of an attribution method on labelled failures, with intervals
    demo         `agentracer demo`: record, attribute, verify by replay, report
    sandbox      Python code in a subprocess with limits
    containers   the same in a Docker container

The laboratory imports the product (`record`, `attribute`, replay, reports); nothing of the product
imports the laboratory, apart from the commands `demo`, `collect`, `bench` and the verification of
the demo's own runs, which import it when they are called and say so when it is not installed.
"""
