"""One of two processes that share a mesh: `python one_of_two_processes.py PORT NUMBER`."""

import io
import sys

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from eqx_filter import tree_serialise_leaves

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 1)
jax.distributed.initialize(f"127.0.0.1:{sys.argv[1]}", 2, int(sys.argv[2]))
mesh = jax.make_mesh((2,), ("d",))
values = np.arange(4, dtype=np.float32)


def spread(spec: P) -> jax.Array:
    return jax.make_array_from_callback((4,), NamedSharding(mesh, spec), lambda at: values[at])


file = io.BytesIO()
tree_serialise_leaves(file, {"w": spread(P())})
print("saved", len(file.getvalue()), "bytes")
try:
    tree_serialise_leaves(file, {"w": spread(P("d"))})
except RuntimeError as error:
    print(error)
