"""`export`: a function as a file that JAX runs, without the code that it was written with."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
from jax import export as jax_export

from eqx_pytree import tree_pformat

from ..checkpoints._atomic import replacing
from ..checkpoints._container import NAMES, write
from ..checkpoints._errors import naming_saved
from ..checkpoints._files import with_suffix
from ..checkpoints._host import on_host
from ..checkpoints._named import check_name
from ..paths import from_paths, tree_paths
from ..shared._jax import struct_of_aval
from ..shared._naming import refuse_uncallable
from ..shared._predicates import is_array
from ..shared._wrapper import as_tree, inner_tree
from ._given import Given
from ._plain import Rebuilding, plain
from ._specs import is_spec, structs

SUFFIX, WEIGHTS = ".export", ".safetensors"


@dataclasses.dataclass(frozen=True, repr=False)
class Exported:
    """A program made by `export`: call it, or `save` it.

    `program` is what `jax.export.export` gave, and tells of inputs, outputs and platforms.
    `weights` are the arrays that it takes before its other arguments, by their dotted paths; None
    if they are a part of it.
    """

    program: "jax_export.Exported"
    weights: Mapping[str, Any] | None
    _given: Given | None = dataclasses.field(default=None, repr=False, compare=False)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the program, with arguments of the structure and shapes that it was exported for.

        A number that is given for an array becomes one of its dtype.

        **Returns:** arrays in tuples, lists and dicts, as whoever has the file gets them.

        **Raises:** `TypeError` for a leaf that is a part of the program and is given as another, by
        its path, and for a number that has no place in the dtype of its input; what JAX raises of
        other structures, shapes and dtypes.
        """
        if self._given is None:
            args, kwargs = plain((args, kwargs), is_spec)
        else:
            args, kwargs = self._given(args, kwargs)
        first = () if self.weights is None else (dict(self.weights),)
        return self.program.call(*first, *args, **kwargs)

    def __repr__(self) -> str:
        args, kwargs = _shapes(self.program.in_tree, self.program.in_avals)
        given = args if self.weights is None else args[1:]
        told = {
            "inputs": (*given, kwargs) if kwargs else given,
            "outputs": _shapes(self.program.out_tree, self.program.out_avals),
        }
        texts = [f"{name}={tree_pformat(it, struct_as_array=True)}" for name, it in told.items()]
        texts.append(f"platforms={tuple(self.program.platforms)}")
        if self.weights is not None:
            texts.append(f"bytes_of_weights={sum(x.nbytes for x in self.weights.values())}")
        return f"{type(self).__name__}({', '.join(texts)})"

    def save(self, path: str | os.PathLike[str], *, vjp_order: int = 0) -> Path:
        """Write the program, and beside it the weights if it takes them.

        **Arguments:**

        - `path`: where to; it gets `.export` at its end, unless it has that. The weights go to a
            file of the same name with `.safetensors` there, in that layout.
        - `vjp_order`: how often whoever reads it can differentiate it.

        **Returns:** the path of the program.

        **Raises:** `ModuleNotFoundError` without `flatbuffers` (the extra `export`); `ValueError`
        for a path that names no file; `OSError` from the file system.
        """
        path = with_suffix(path, SUFFIX)
        name = path.name.removesuffix(SUFFIX)
        path = path.with_name(name + SUFFIX)
        try:
            written = self.program.serialize(vjp_order=vjp_order)
        except ImportError as error:
            message = (
                "`Exported.save` needs `flatbuffers`, with which JAX writes programs. Install it "
                "with `pip install flatbuffers`, or as the extra `eqx-filter[export]`."
            )
            raise ModuleNotFoundError(message, name="flatbuffers") from error
        if self.weights is not None:
            with replacing(path.with_name(name + WEIGHTS), durable=True) as file:
                write(file, {name: on_host(x) for name, x in self.weights.items()}, {})
        with replacing(path, durable=True) as file:
            file.write(written)
        return path


def export(
    fn: Callable[..., Any],
    *specs: Any,
    weights: Literal["inside", "beside"] = "inside",
    platforms: Sequence[str] | None = None,
    **kwspecs: Any,
) -> Exported:
    """Export a function, a Module or a method as a program that needs JAX alone to run.

        export(filter_vmap(model), "float32[batch, 784]").save("model")

        # in a process without these packages
        from jax import export
        program = export.deserialize(open("model.export", "rb").read())
        y = program.call(x)

    **Arguments:**

    - `fn`: a pure function of PyTrees, or a callable PyTree.
    - `specs`, `kwspecs`: its arguments, any PyTrees with for each array an array, of which shape
        and dtype count, a `jax.ShapeDtypeStruct`, or a text such as `"float32[batch, 3]"`, in which
        a size may have a name: the program takes any. Other leaves are a part of the program.
    - `weights`: `"inside"`, the arrays of `fn` are a part of the program; `"beside"`, they are its
        first argument, a dict by dotted paths, and are saved in a file of their own, as
        `safetensors.numpy.load_file` reads it: `program.call(load_file("model.safetensors"), x)`.
    - `platforms`: for which it is compiled, such as `("cpu", "cuda", "tpu")`; by default that on
        which JAX runs here.

    **Returns:** an `Exported`. Its inputs and outputs are tuples, lists and dicts: a Module among
    them is a dict of its fields, a named tuple a tuple, and what is no array is left out.

    **Raises:** `TypeError` for what cannot be called; `ValueError` for another `weights`, for an
    argument by the name `self`, for weights of a dtype that safetensors has not, beside the
    program, and for a text that tells of no array, or of one of 64 bits without `jax_enable_x64`;
    `NotImplementedError`, by JAX, for a program that calls Python; what `fn` raises.
    """
    refuse_uncallable("export", fn=fn)
    if weights not in ("inside", "beside"):
        message = f'`weights` of `export` is "inside" or "beside"; got {weights!r}.'
        raise ValueError(message)
    if "self" in kwspecs:
        message = (
            "`export` has an argument called `self`, which a program of JAX cannot have by name. "
            "Pass it by position, or give it another name."
        )
        raise ValueError(message)
    model, put_back = inner_tree(as_tree(fn))
    beside = _arrays(model) if weights == "beside" else None
    asked = structs((specs, kwspecs))
    rebuild, given = Rebuilding(asked, is_spec), Given(*asked)

    def run(model: Any, args: Any, kwargs: Any) -> Any:
        args, kwargs = rebuild((args, kwargs))
        return plain(put_back(model)(*args, **kwargs), _is_output)

    def with_weights_inside(*args: Any, **kwargs: Any) -> Any:
        return run(model, args, kwargs)

    def with_weights_beside(arrays: Any, /, *args: Any, **kwargs: Any) -> Any:
        return run(from_paths(model, {**tree_paths(model), **arrays}), args, kwargs)

    args, kwargs = rebuild.specs()
    called = with_weights_inside if beside is None else with_weights_beside
    called.__name__ = getattr(fn, "__name__", type(fn).__name__)
    first = () if beside is None else (beside,)
    exporting = jax_export.export(jax.jit(called), platforms=platforms)
    try:
        return Exported(exporting(*first, *args, **kwargs), beside, given)
    except NotImplementedError as error:
        error.add_note(
            "A program that calls Python cannot be in a file. Checks (`error_if`) do: set the "
            "environment variable `EQX_ON_ERROR=nan`, or export the function without them."
        )
        raise


def _arrays(model: Any) -> dict[str, Any]:
    """The arrays of a model by their paths."""
    arrays = {name: leaf for name, leaf in tree_paths(model).items() if is_array(leaf)}
    for name, array in arrays.items():
        with naming_saved(name):
            check_name(name)
        if array.dtype not in NAMES:
            message = (
                f"`{name}` has the dtype {array.dtype}, which a file beside the program cannot "
                'hold. Export with `weights="inside"`.'
            )
            raise ValueError(message)
    if not arrays:
        message = (
            "`export` finds no arrays in `fn` to keep beside the program: those of a closure are "
            "inside. Pass a callable PyTree, such as `model` or `filter_vmap(model)`."
        )
        raise ValueError(message)
    return arrays


def _shapes(structure: Any, avals: Sequence[Any]) -> Any:
    return structure.unflatten([struct_of_aval(it) for it in avals])


def _is_output(leaf: Any) -> bool:
    return is_spec(leaf) or isinstance(leaf, (bool, int, float, complex))
