"""Transformations of JAX that choose leaf by leaf what to trace or to differentiate."""

from ._abstract import cached_filter_eval_shape, filter_eval_shape, filter_make_jaxpr
from ._axes import if_array
from ._branches import filter_cond, filter_switch
from ._callback import filter_pure_callback
from ._checkpoint import filter_checkpoint
from ._clear import clear_caches
from ._closure import filter_closure_convert
from ._custom_jvp import filter_custom_jvp
from ._custom_vjp import filter_custom_vjp
from ._explicit import gradf, jitf, value_and_grad_f
from ._grad import filter_grad, filter_value_and_grad
from ._jacobian import filter_hessian, filter_jacfwd, filter_jacrev
from ._jit import filter_jit
from ._jvp import filter_jvp
from ._loops import filter_fori_loop, filter_map, filter_scan, filter_while_loop
from ._lowered import Compiled, Lowered
from ._pmap import filter_pmap
from ._shard_map import filter_shard_map
from ._sharding import filter_device_put, filter_shard
from ._vjp import filter_vjp
from ._vmap import filter_vmap

__all__ = [
    "Compiled",
    "Lowered",
    "cached_filter_eval_shape",
    "clear_caches",
    "filter_checkpoint",
    "filter_closure_convert",
    "filter_cond",
    "filter_custom_jvp",
    "filter_custom_vjp",
    "filter_device_put",
    "filter_eval_shape",
    "filter_fori_loop",
    "filter_grad",
    "filter_hessian",
    "filter_jacfwd",
    "filter_jacrev",
    "filter_jit",
    "filter_jvp",
    "filter_make_jaxpr",
    "filter_map",
    "filter_pmap",
    "filter_pure_callback",
    "filter_scan",
    "filter_shard",
    "filter_shard_map",
    "filter_switch",
    "filter_value_and_grad",
    "filter_vjp",
    "filter_vmap",
    "filter_while_loop",
    "gradf",
    "if_array",
    "jitf",
    "value_and_grad_f",
]
