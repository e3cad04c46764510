"""Text for PyTrees: `tree_pformat`, `tree_pprint`, and the `repr` of a Module.

The layout is wadler-lindig's, loaded when first asked for.
"""

import types
from collections.abc import Callable
from typing import Any

import jax
import jax.tree_util as jtu


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
    import wadler_lindig as wl

    def custom(node: Any) -> Any:
        if truncate_leaf(node):
            return wl.TextDoc(f"{type(node).__name__}(...)")
        if isinstance(node, types.MethodType):
            return wl.TextDoc(f"<bound method {node.__func__.__qualname__}>")
        if isinstance(node, (jax.custom_jvp, jax.custom_vjp)):
            return wl.pdoc(node.__wrapped__, **options)
        if isinstance(node, jtu.Partial):
            parts = [(name, getattr(node, name)) for name in ("func", "args", "keywords")]
            docs = wl.named_objs(parts, **options)
            begin, end = wl.TextDoc("Partial("), wl.TextDoc(")")
            return wl.bracketed(begin=begin, docs=docs, sep=wl.comma, end=end, indent=indent)
        as_array = (short_arrays and isinstance(node, jax.Array)) or (
            struct_as_array and isinstance(node, jax.ShapeDtypeStruct)
        )
        if as_array:
            weak = "weak_" if getattr(node, "weak_type", False) else ""
            return wl.array_summary(node.shape, f"{weak}{node.dtype}", kind=None)
        return None

    options: dict[str, Any] = {"indent": indent, "short_arrays": short_arrays, "custom": custom}
    return wl.pformat(pytree, width=width, **options)


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
