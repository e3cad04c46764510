"""How many rounds, and by which random numbers: the same ones, unless asked for more.

`EQX_TORTURE_ROUNDS=200 pytest tests/torture` kills so many processes for each way of saving, and
damages ten times as many files of each kind; `nox -s torture` does.
"""

import os
import random

ASKED = os.environ.get("EQX_TORTURE_ROUNDS")
ROUNDS = int(ASKED or 8)
MANY = 50
"""Rounds in which what happens by chance happens at least once."""


def random_numbers(name: str) -> random.Random:
    """Random numbers for one test; the seed is printed, to run a failure again."""
    seed = os.environ.get("EQX_TORTURE_SEED") or (str(random.randrange(10**9)) if ASKED else "0")
    print(f"EQX_TORTURE_SEED={seed}")
    return random.Random(f"{name} {seed}")
