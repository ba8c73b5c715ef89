"""Secrets never reach the disk: each is replaced by its kind and a short keyed hash.

`tokens` finds keys by their shape, `assignments` values by the name beside them, `names` says which
names are those of secrets, `settings` is what the user adds; `Redactor` puts them together.
"""

from agentracer.redaction.redactor import Redactor
from agentracer.redaction.settings import RedactionSettings, load_settings

__all__ = ["RedactionSettings", "Redactor", "load_settings"]
