"""Find the decisive step of a failed run with nothing but a way to run the system and a check.

The first k steps of the run are kept as recorded, the system does the rest live, and successes are
counted: how the chance of success changes along the run shows which step lost it.

    definition   what the decisive step is, given the chance of success after each prefix
    posterior    what counts of replays say about these chances, and about the decisive step
    planning     which prefix to replay next
    search       the search, and the exact test at its end, without doing any replay itself
"""
