"""How many examples each law is tried on, and which: the same ones, unless asked for more.

`EQX_LAWS_EXAMPLES=1000 pytest tests/laws` tries so many, and others each time; `nox -s laws` does.
"""

import os

from hypothesis import HealthCheck, settings

ASKED = os.environ.get("EQX_LAWS_EXAMPLES")

law = settings(
    max_examples=int(ASKED or 25),
    derandomize=ASKED is None,
    deadline=None,
    print_blob=ASKED is not None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

law_of_programs = settings(law, max_examples=int(ASKED or 8))
"""For what compiles new programs for each example."""
