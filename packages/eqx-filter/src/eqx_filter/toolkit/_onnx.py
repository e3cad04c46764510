"""`to_onnx`: hand a function over to other runtimes, by way of TensorFlow."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu

from ..rules import finalise_fn
from ..shared._jax import tensorflow_function


def to_onnx(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that exports `fn` to ONNX (https://onnx.ai).

    The primitives of this library are replaced by JAX's own (see `finalise_fn`), JAX's by
    TensorFlow's, and those by ONNX's.

    **Arguments:**

    - `fn`: a function of PyTrees of arrays.

    **Returns:** a function that takes example arguments, of which the shapes and dtypes count, and
    returns what `tf2onnx.convert.from_function` does: the model first.

    **Raises:** `ModuleNotFoundError` if `tensorflow` or `tf2onnx` is not installed.
    """
    try:
        import tensorflow  # pyright: ignore[reportMissingModuleSource]
        import tf2onnx  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        message = (
            f"`to_onnx` exports with `tensorflow` and `tf2onnx`, and `{error.name}` is not "
            "installed. Install them with `pip install tensorflow tf2onnx`."
        )
        raise ModuleNotFoundError(message, name=error.name) from error

    def export(*args: Any) -> Any:
        def spec(leaf: Any) -> Any:
            return tensorflow.TensorSpec(jnp.shape(leaf), jnp.result_type(leaf))

        function = tensorflow.function(tensorflow_function(finalise_fn(fn)))
        signature = [jtu.tree_map(spec, arg) for arg in args]
        return tf2onnx.convert.from_function(function, input_signature=signature)

    return export
