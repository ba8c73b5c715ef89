"""Systems of plain Python that call a model through its provider's client.

client      `openai` and `anthropic`: the seam under every call of a client
wire        what a request reads, what a response says, and the response of a replay
chat_completions, responses, messages
            the three protocols
callers     which function of the program calls, and so which agent acts
runs        the run that a call belongs to, and what is known of it
advice      lessons for agents that are functions
"""
