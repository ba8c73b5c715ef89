"""Helpers that adapters share; no base class, for frameworks are hooked in different ways.

patching   replace attributes of a framework: all or nothing, undone to the identical objects
wrapping   what happens around a call: of a function, coroutine or generator of any kind
calls      model and tool calls as steps: begin, ask the replay, end
scope      the run that a call belongs to, and context variables for what encloses it
text       prompts, tools and advice in the forms that a recorder takes
"""
