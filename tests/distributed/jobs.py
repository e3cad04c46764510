"""What the processes of a job do: `python jobs.py JOB PORT COUNT FOLDER NUMBER`.

The tests call `trained` as well, in a process that has all four devices.
"""

import inspect
import os
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import equinox as eqx

DEVICES = 4
KEY = jax.random.key if False else None
PLANS = ("data", "fsdp", "2x2")
STEPS = 4
