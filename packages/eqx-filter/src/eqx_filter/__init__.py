"""Filtered transformations for JAX, and what is done to PyTrees of any kind.

A folder is loaded when one of its names is first used.
"""

from typing import TYPE_CHECKING

from eqx_pytree import load_on_use, tree_equal

from .shared._predicates import is_array, is_array_like, is_inexact_array, is_inexact_array_like

__all__ = [
    "is_array",
    "is_array_like",
    "is_inexact_array",
    "is_inexact_array_like",
    "tree_equal",
]

if TYPE_CHECKING:
    from . import (
        batching,
        checkpoints,
        compiled,
        control_flow,
        derivatives,
        errors,
        exporting,
        inspecting,
        paths,
        sharding,
        toolkit,
        tracing,
        training,
        trees,
    )
    from .batching import *  # noqa: F403 - the names in its `__all__`
    from .checkpoints import *  # noqa: F403
    from .compiled import *  # noqa: F403
    from .control_flow import *  # noqa: F403
    from .derivatives import *  # noqa: F403
    from .errors import *  # noqa: F403
    from .exporting import *  # noqa: F403
    from .inspecting import *  # noqa: F403
    from .paths import *  # noqa: F403
    from .sharding import *  # noqa: F403
    from .toolkit import *  # noqa: F403
    from .tracing import *  # noqa: F403
    from .training import *  # noqa: F403
    from .trees import *  # noqa: F403

    __all__ += batching.__all__
    __all__ += checkpoints.__all__
    __all__ += compiled.__all__
    __all__ += control_flow.__all__
    __all__ += derivatives.__all__
    __all__ += errors.__all__
    __all__ += exporting.__all__
    __all__ += inspecting.__all__
    __all__ += paths.__all__
    __all__ += sharding.__all__
    __all__ += toolkit.__all__
    __all__ += tracing.__all__
    __all__ += training.__all__
    __all__ += trees.__all__
else:
    _HOMES = {
        ".batching": "filter_pmap filter_vmap if_array",
        ".checkpoints": (
            "Checkpoints LoadReport MigrationPlan TreePathError default_deserialise_filter_spec "
            "default_serialise_filter_spec load load_config migration_plan save "
            "tree_deserialise_leaves tree_serialise_leaves"
        ),
        ".compiled": "Compiled Lowered filter_jit",
        ".control_flow": (
            "filter_cond filter_fori_loop filter_map filter_scan filter_switch filter_while_loop"
        ),
        ".derivatives": (
            "filter_checkpoint filter_custom_jvp filter_custom_vjp filter_grad filter_hessian "
            "filter_jacfwd filter_jacrev filter_jvp filter_value_and_grad filter_vjp gradf "
            "jitf value_and_grad_f"
        ),
        ".errors": (
            "EquinoxRuntimeError EquinoxTracetimeError assert_dce branched_error_if error_if"
        ),
        ".exporting": "Exported export",
        ".inspecting": "Summary TreeCost capture summary tree_cost",
        ".paths": "Labels Selector by from_paths partition_by tree_label tree_mask tree_paths",
        ".sharding": (
            "PlanCheck PlanTable ShardingPlan ShardingRule data_parallel filter_device_put "
            "filter_shard filter_shard_map fsdp pipeline_parallel"
        ),
        ".toolkit": (
            "AbstractProgressMeter Enumeration EnumerationItem GetKey NoProgressMeter "
            "TextProgressMeter TqdmProgressMeter eval_empty eval_zero left_broadcast_to "
            "nextafter prevbefore str2jax to_onnx"
        ),
        ".tracing": (
            "cached_filter_eval_shape clear_caches filter_closure_convert filter_eval_shape "
            "filter_make_jaxpr filter_pure_callback"
        ),
        ".training": ("LossScale Optimizer Precision accumulate all_finite ema trainable"),
        ".trees": (
            "apply_updates combine filter hashable_combine hashable_partition partition "
            "tree_at tree_check tree_flatten_one_level ω"
        ),
        ".debug": "",
        ".loops": "",
        ".migrations": "",
        ".primitives": "",
    }
    __all__ += [name for names in _HOMES.values() for name in names.split()]
    __getattr__, __dir__ = load_on_use(__name__, _HOMES, distribution="eqx-filter")
