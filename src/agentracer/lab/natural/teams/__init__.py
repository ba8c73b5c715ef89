"""Teams with ordinary prompts, one module per framework; `..systems` lists them.

Each team is a function `(endpoint, kind, question) -> str`: it builds everything anew, runs the
question, and returns the text that the team ends with. Tools are offered through the tool calls
of the chat API. Capture is added from outside; `plain_python` has no framework to watch: the calls
of its client are captured, and it says who acts and what is a tool.
"""
