"""What a trace tells without running: shapes, programs, what a function closes over."""

from ._abstract import cached_filter_eval_shape, filter_eval_shape, filter_make_jaxpr
from ._callback import filter_pure_callback
from ._clear import clear_caches
from ._closure import filter_closure_convert

__all__ = [
    "cached_filter_eval_shape",
    "clear_caches",
    "filter_closure_convert",
    "filter_eval_shape",
    "filter_make_jaxpr",
    "filter_pure_callback",
]
