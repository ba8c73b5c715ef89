"""Reports of runs and verdicts.

    shortlist   decides which candidates, reasons and evidence every report shows
    formatting  the phrases that every report uses
    terminal    a list, a run, a verdict in a terminal
    html        one run as a self-contained HTML page; `index` many runs, `evolution` its rounds
    notebook    cards for Jupyter
    ci          GitHub annotations, JUnit XML, Markdown; `grouping` failures by agent

Every string of a trace or a verdict is untrusted and is escaped (`agentracer.escaping`). Nothing is
imported here, so that a program which only records never loads rich or jinja2.
"""
