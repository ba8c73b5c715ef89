"""What people see: the terminal (`terminal`) and one self-contained HTML file (`html`).

Both show the same facts in the same words (`wording`), and both treat every string of a trace or
a verdict as hostile (`untrusted`). Nothing is imported here, so that a program which only records
never loads rich or jinja2.
"""
