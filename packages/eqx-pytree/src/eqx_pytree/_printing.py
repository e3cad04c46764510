"""Text for PyTrees: `tree_pformat`, `tree_pprint`, and the `repr` of a Module.

The layout is wadler-lindig's, loaded when first asked for.
"""

import types
from collections.abc import Callable
from typing import Any

import jax


def _keep(_: Any) -> bool:
    return False


def tree_pformat(
    pytree: Any,
    *,
    width: int = 80,
    indent: int = 2,
    short_arrays: bool = True,
    struct_as_array: bool = False,
    truncate_leaf: Callable[[Any], bool] = _keep,
) -> str:
    """Format a PyTree as text, with arrays as dtype and shape: `f32[3,4]`.

    **Arguments:**

    - `pytree`: anything.
    - `width`: columns that a line should keep to.
    - `indent`: columns by which a nested line is indented.
    - `short_arrays`: whether an array is shown as dtype and shape instead of its values.
    - `struct_as_array`: whether a `jax.ShapeDtypeStruct` is shown as an array.
    - `truncate_leaf`: where true of a node, the node is shown as `type(...)`.

    **Returns:** the text, without a newline at its end.
    """
    import wadler_lindig

    def custom(node: Any) -> Any:
        if truncate_leaf(node):
            return wadler_lindig.TextDoc(f"{type(node).__name__}(...)")
        if isinstance(node, types.MethodType):
            return wadler_lindig.TextDoc(f"<bound method {node.__func__.__qualname__}>")
        as_array = (short_arrays and isinstance(node, jax.Array)) or (
            struct_as_array and isinstance(node, jax.ShapeDtypeStruct)
        )
        if as_array:
            weak = "weak_" if getattr(node, "weak_type", False) else ""
            return wadler_lindig.array_summary(node.shape, f"{weak}{node.dtype}", kind=None)
        return None

    return wadler_lindig.pformat(
        pytree,
        width=width,
        indent=indent,
        short_arrays=short_arrays,
        custom=custom,
    )


def tree_pprint(
    pytree: Any,
    *,
    width: int = 80,
    indent: int = 2,
    short_arrays: bool = True,
    struct_as_array: bool = False,
    truncate_leaf: Callable[[Any], bool] = _keep,
) -> None:
    """Print what [`tree_pformat`][] gives, and a newline."""
    text = tree_pformat(
        pytree,
        width=width,
        indent=indent,
        short_arrays=short_arrays,
        struct_as_array=struct_as_array,
        truncate_leaf=truncate_leaf,
    )
    print(text)
