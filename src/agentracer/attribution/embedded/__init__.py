"""The attribution backend that needs no model server, no download and no extra dependency.

It ranks the steps of a failed run in milliseconds, deterministically: a small trained ranker whose
confidence was measured on runs that it had not seen. It reads what the steps did, and checks what
can be checked without a language model (sums, code, copied figures). Its word lists are English.
Where a run differs from those that the ranker was calibrated on, the verdict says
`calibrated: false`. It never reads the ground truth, not even where it is offered.

    Tracer("embedded")             the shipped weights
    Tracer("embedded:transfer")    trained on no run of Who&When
    Tracer("embedded:in-domain")   trained on Who&When's development half as well
    Tracer("embedded:rules")       the rule list, as a baseline
    Tracer("embedded:PATH")        a model file that `agentracer adapt` made for your system

| package | contents |
|---|---|
| `text` | what the text of a run says: figures, assignments, code, roles, facts of each step |
| `checks` | the checks, each with the kinds of findings that it reports |
| `model` | features, catalogue, ranker, calibration, model files |
| `fitting` | how a model is fitted, cross-validated and adapted |
"""

from agentracer.attribution.embedded.backend import RULES, RULES_VERSION, EmbeddedBackend

__all__ = ["RULES", "RULES_VERSION", "EmbeddedBackend"]
