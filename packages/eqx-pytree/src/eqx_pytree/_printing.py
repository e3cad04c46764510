"""Text for PyTrees: `tree_pformat`, `tree_pprint`, and the `repr` of a Module.

The layout is wadler-lindig's, loaded when first asked for.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.tree_util as jtu


def _keep(_: Any) -> bool:
    return False


@dataclasses.dataclass(slots=True)
class TreeWLCustom:
    """The `custom` argument of wadler-lindig's functions that `tree_pformat` gives them.

    **Arguments:** `truncate_leaf`, `short_arrays` and `struct_as_array`, as in
    `tree_pformat`; a `jax.ShapeDtypeStruct` is an array only where arrays are short.

    Called with an object, it returns a wadler-lindig document, or None to leave it as it is.
    """

    truncate_leaf: Callable[[Any], bool]
    short_arrays: bool
    struct_as_array: bool

    def __call__(self, obj: Any) -> Any:
        """Give the document that is printed for an object, or None to have it printed as ever."""
        import wadler_lindig as wl

        inside: dict[str, Any] = {"custom": self._truncated, "short_arrays": self.short_arrays}
        truncated = self._truncated(obj)
        if truncated is not None:
            return truncated
        if isinstance(obj, (jax.custom_jvp, jax.custom_vjp)):
            return wl.pdoc(obj.__wrapped__, **inside)
        if isinstance(obj, jtu.Partial):
            parts = [(name, getattr(obj, name)) for name in ("func", "args", "keywords")]
            docs = wl.named_objs(parts, **inside)
            begin, end = wl.TextDoc("Partial("), wl.TextDoc(")")
            return wl.bracketed(begin=begin, docs=docs, sep=wl.comma, end=end, indent=2)
        if self.short_arrays and (
            isinstance(obj, jax.Array)
            or (self.struct_as_array and isinstance(obj, jax.ShapeDtypeStruct))
        ):
            weak = "weak_" if getattr(obj, "weak_type", False) else ""
            return wl.array_summary(obj.shape, f"{weak}{obj.dtype}", kind=None)
        return None

    def _truncated(self, node: Any) -> Any:
        import wadler_lindig as wl

        return wl.TextDoc(f"{type(node).__name__}(...)") if self.truncate_leaf(node) else None


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

    custom = TreeWLCustom(truncate_leaf, short_arrays, struct_as_array)
    return wl.pformat(pytree, width=width, indent=indent, short_arrays=short_arrays, custom=custom)


def tree_pprint(
    pytree: Any,
    *,
    width: int = 80,
    indent: int = 2,
    short_arrays: bool = True,
    struct_as_array: bool = False,
    truncate_leaf: Callable[[Any], bool] = _keep,
) -> None:
    """Print what `tree_pformat` gives, and a newline."""
    text = tree_pformat(
        pytree,
        width=width,
        indent=indent,
        short_arrays=short_arrays,
        struct_as_array=struct_as_array,
        truncate_leaf=truncate_leaf,
    )
    print(text)
