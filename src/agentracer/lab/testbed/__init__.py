"""Run real multi-agent teams that fail, with the true cause known.

    server                  a local OpenAI-compatible server, answered by a scripted model
    problems, scenarios     what is asked, what goes wrong in a run, and which step is to blame
    math_domain, qa_domain, coding_domain         three domains
    langgraph_teams, autogen_teams, camel_teams   real teams, each in three topologies
    systems                 all 27 of them
    ground_truth            the planted step of a recorded run, and the oracle that corrects it
    coding_tasks, coding_policy, coding_team, demo_runs     the coding team of `agentracer demo`
    rebuild                 the system of a demo run, from the metadata of its trace
    data                    tasks, documents, word problems and phrases as TOML files

What it is not: a language model, or a measure of how well attribution works on one. The scripted
model errs in the ways that its problems describe, in prose that is written by hand; numbers from
the testbed say that the plumbing is right, and little about failures in the field.

The teams know nothing of capture or attribution, which are added from outside. Only `ground_truth`
and `rebuild` read traces.
"""
