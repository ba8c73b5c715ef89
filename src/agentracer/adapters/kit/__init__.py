"""Helpers that adapters share; no base class, for frameworks are hooked in different ways.

patching   replace attributes of a framework: all or nothing, undone to the identical objects
"""
