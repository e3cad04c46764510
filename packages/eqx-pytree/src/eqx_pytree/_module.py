"""`Module` and its metaclass: what a class statement becomes.

The class becomes a dataclass, its instances are frozen once `__init__` is done, and JAX is told
how to flatten them. Nothing is kept beside an instance: it holds its fields and no more.
"""

import abc
import dataclasses
import inspect
import reprlib
import types
import typing
from typing import Any

import jax
import jax.tree_util as jtu

from ._abstract import abstract_annotations, open_attributes, why_abstract
from ._checks import Checks, no_hash, refuse_slots, warn_of_unused_post_init, way_out
from ._equality import tree_equal
from ._fields import annotate_constructor, converters, field, is_static, static_field
from ._methods import BoundMethod, Method
from ._printing import tree_pformat
from ._registration import WRAPPER_ATTRIBUTES, Layout

_under_construction: set[int] = set()
"""Ids of the instances whose `__init__` runs, in any thread: only these can be assigned to."""

_layouts: dict[type, Layout] = {}
"""How each class is flattened. JAX keeps every class that it knows, and so may this."""

_begin = _under_construction.add
_end = _under_construction.discard
_new = object.__new__
_set = object.__setattr__

_OUTSIDE_FIELDS = frozenset({*WRAPPER_ATTRIBUTES, "__orig_class__"})


def _inherits_generated_init(cls: type) -> bool:
    """Whether the first `__init__` among the bases is one that a class statement generated."""
    for base in cls.__mro__[1:]:
        if "__init__" in vars(base):
            return base is object or vars(base).get("_init_is_generated", False)
    return True


def _make_dataclass(cls: Any, *, init: bool) -> None:
    """Make the class a dataclass; what it annotates as abstract is no field of it."""
    annotations = vars(cls).get("__annotations__", {})
    abstract = abstract_annotations(cls)
    if abstract:
        cls.__annotations__ = {n: kind for n, kind in annotations.items() if n not in abstract}
    try:
        dataclasses.dataclass(init=init, repr=False, eq=False)(cls)
    except (TypeError, ValueError) as error:
        message = f"{error}{way_out(cls, str(error))}"
        raise type(error)(message) from None
    if abstract:
        cls.__annotations__ = annotations


def _wrap_methods(cls: Any) -> None:
    """Let each plain function that is no field and no magic method give bound PyTrees.

    Those of the finished class: `__init_subclass__` may have put others there.
    """
    for name, value in list(vars(cls).items()):
        magic = name.startswith("__") and name.endswith("__")
        if type(value) is types.FunctionType and not magic and name not in cls.__dataclass_fields__:
            type.__setattr__(cls, name, Method(value))


@typing.dataclass_transform(field_specifiers=(dataclasses.field, field, static_field))
class ModuleMeta(abc.ABCMeta):
    """The type of `Module`; may be subclassed as a metaclass."""

    __abstractvars__: frozenset[str]
    __abstractclassvars__: frozenset[str]
    _checks: Checks
    _init_is_generated: bool
    _why_abstract: str | None

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        /,
        strict: bool | None = False,
        **kwargs: Any,
    ) -> Any:
        """Make the class; `strict` is what `StrictConfig` gives, or a bool without effect.

        Other keywords go to `__init_subclass__`.
        """
        cls: Any = super().__new__(mcs, name, bases, namespace, **kwargs)
        generated = "__init__" not in namespace and _inherits_generated_init(cls)
        cls._init_is_generated = generated
        if not generated and not {"__init__", "__post_init__"}.isdisjoint(namespace):
            warn_of_unused_post_init(cls)
        _make_dataclass(cls, init=generated)
        cls.__abstractvars__, cls.__abstractclassvars__ = open_attributes(cls)
        cls._why_abstract = why_abstract(cls, forced=strict is None)
        if generated:
            annotate_constructor(cls.__init__, converters(cls))
            cls.__init__.__doc__ = super(cls, cls).__init__.__doc__  # it may have been set there
        _wrap_methods(cls)
        refuse_slots(cls)
        return cls

    if not typing.TYPE_CHECKING:  # or checkers would take this for the constructor's signature

        def __call__(cls, /, *args: Any, **kwargs: Any) -> Any:
            """Build an instance: `__init__`, converters, checks; then it is frozen."""
            if cls._why_abstract is not None:
                raise TypeError(cls._why_abstract)
            new = cls.__new__
            instance = _new(cls) if new is _new else new(cls, *args, **kwargs)
            if type(instance) is not cls and not isinstance(instance, cls):
                return instance
            checks = cls._checks
            identity = id(instance)
            _begin(identity)
            try:
                cls.__init__(instance, *args, **kwargs)
                if checks.needed:
                    checks.complete(instance)
            finally:
                _end(identity)
            if checks.check_inits:
                checks.check_init(instance)
            return instance

    def __setattr__(cls, name: str, value: Any) -> None:
        """Set an attribute of the class; with the fields, what is made of them is made anew."""
        super().__setattr__(name, value)
        if name == "__dataclass_fields__":
            fields = dataclasses.fields(cls)
            static = tuple(spec.name for spec in fields if is_static(spec))
            children = tuple(spec.name for spec in fields if not is_static(spec))
            if cls in _layouts:
                _layouts[cls].set_fields(children, static)
            else:
                _layouts[cls] = Layout(cls, children, static)
            super().__setattr__("_checks", Checks(cls))

    @property
    def __signature__(cls) -> inspect.Signature:
        """The constructor's signature: that of `__init__` without `self`."""
        signature = inspect.signature(cls.__init__)
        return signature.replace(parameters=list(signature.parameters.values())[1:])


class Module(metaclass=ModuleMeta):
    """Base class of models and of anything else that is data with methods.

    A subclass lists its fields as a dataclass does; an instance is a PyTree whose children are
    the fields that are not static, under their names. After `__init__` it is frozen.

        class Affine(Module):
            weight: jax.Array
            bias: jax.Array
            name: str = field(static=True, default="affine")

            def __call__(self, x):
                return self.weight @ x + self.bias

    `__init__` is generated from the fields, or written by hand or inherited. `__post_init__` runs
    after a generated `__init__`; then converters; then, frozen, each `__check_init__` of the
    class and its bases. `==` is `tree_equal` and `hash` comes from the leaves.

    **Raises**, when a class is made: `ValueError` for a mutable default, `TypeError` for a field
    that is also a slot. When an instance is made: `TypeError` naming each field left unassigned,
    `ValueError` for a method of the instance assigned to a field, `dataclasses.FrozenInstanceError`
    for a name that is no field, and for every assignment or deletion later.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign a field inside `__init__`; refused at any other time and for any other name."""
        if id(self) in _under_construction and (
            name in self.__dataclass_fields__ or name in _OUTSIDE_FIELDS
        ):
            if callable(value):
                type(self)._checks.inspect_callable(self, name, value)
            _set(self, name, value)
        elif name == "__orig_class__":  # set by `typing` after `Generic[...]` built an instance
            _set(self, name, value)
        else:
            raise dataclasses.FrozenInstanceError(_frozen(self, name, "assign to"))

    def __delattr__(self, name: str) -> None:
        """Delete a field inside `__init__`; refused at any other time."""
        if id(self) not in _under_construction:
            raise dataclasses.FrozenInstanceError(_frozen(self, name, "delete"))
        object.__delattr__(self, name)

    def __eq__(self, other: object) -> Any:
        """What `tree_equal` says: a `bool`, or a bool array of shape `()`."""
        return tree_equal(self, other)

    def __ne__(self, other: object) -> Any:
        """Whether `tree_equal` says no; traced where it is."""
        equal = self == other
        return ~equal if isinstance(equal, jax.core.Tracer) else not equal

    def __hash__(self) -> int:
        """Hash type and leaves; a `TypeError` where a leaf, such as an array, has no hash."""
        try:
            return hash((type(self), *jtu.tree_leaves(self)))
        except TypeError as error:
            raise TypeError(no_hash(self, str(error))) from None

    @reprlib.recursive_repr("<recursive>")
    def __repr__(self) -> str:
        """What `tree_pformat` says."""
        return tree_pformat(self)

    def __treescope_repr__(self, path: str | None, subtree_renderer: Any) -> Any:
        """Draw the fields for treescope, with what is static, frozen, traced or shared marked."""
        from ._treescope import drawn

        return drawn(self, path, subtree_renderer, Module)


Module.register(BoundMethod)


def is_abstract_module(cls: ModuleMeta) -> bool:
    """Whether instances of a Module class cannot be made, since something in it is abstract.

    **Raises:** `TypeError` for what is no subclass of `Module`.
    """
    if not isinstance(cls, ModuleMeta):
        message = f"`{cls!r}` is not a subclass of `Module`."
        raise TypeError(message)
    return inspect.isabstract(cls) or cls._why_abstract is not None


class _UnderConstruction:
    """The instances that can be assigned to."""

    def add(self, instance: Module) -> None:
        """Let the fields of an instance be assigned to."""
        _begin(id(instance))

    def remove(self, instance: Module) -> None:
        """Freeze an instance. **Raises** `KeyError` if it is not under construction."""
        _under_construction.remove(id(instance))

    def __contains__(self, instance: object) -> bool:
        return id(instance) in _under_construction


under_construction = _UnderConstruction()
"""For a metaclass that makes instances by itself: `add` one, assign to its fields, `remove` it.

Neither converters nor checks are run for it.
"""


def _frozen(instance: Module, name: str, action: str) -> str:
    cls = type(instance).__qualname__
    if name not in instance.__dataclass_fields__:
        fields = ", ".join(f"`{known}`" for known in instance.__dataclass_fields__) or "none"
        return (
            f"cannot {action} field '{name}': `{cls}` has no field of that name (its fields: "
            f"{fields}). Annotate it in the class body, `{name}: ...`, to make it a field."
        )
    return (
        f"cannot {action} field '{name}': a Module is frozen once its `__init__` is done, and this "
        f"`{cls}` is. Make a changed copy with `tree_at(lambda m: m.{name}, module, value)` or "
        "`dataclasses.replace`."
    )
