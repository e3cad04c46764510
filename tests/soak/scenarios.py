"""What a round of the leak tests does: build, call, and drop. Each returns what is to be freed."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from eqx_filter import (
    cached_filter_eval_shape,
    combine,
    filter_checkpoint,
    filter_closure_convert,
    filter_custom_jvp,
    filter_custom_vjp,
    filter_eval_shape,
    filter_grad,
    filter_jit,
    filter_jvp,
    filter_make_jaxpr,
    filter_value_and_grad,
    filter_vjp,
    gradf,
    hashable_partition,
    is_array,
    is_inexact_array,
    jitf,
    partition,
    tree_at,
    tree_equal,
)
from eqx_pytree import Module, Partial, Static, field, tree_pformat

X = jnp.arange(3.0)
SCENARIOS: dict[str, Callable[[], list[Any]]] = {}
PLAIN: dict[str, Callable[[], list[Any]]] = {}
"""The same in plain JAX, for those where some version of it leaves something behind."""


def scenario(function: Callable[[], list[Any]]) -> Callable[[], list[Any]]:
    SCENARIOS[function.__name__] = function
    return function


class Token:
    """A static value that can be referred to weakly."""


class Model(Module):
    """A class that stays, since JAX keeps every class that it knows."""

    weight: jax.Array
    inner: Any = None
    token: Any = field(static=True, default=None)

    def scaled(self, x: jax.Array) -> jax.Array:
        return jnp.sum(self.weight * x)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.scaled(x)


def new_model() -> Model:
    return Model(X + 1, [Static(1), None], Token())


def loss(model: Model, x: jax.Array) -> jax.Array:
    return model(x) ** 2


stays_jitted = filter_jit(lambda arrays, x: jtu.tree_map(lambda leaf: leaf + x, arrays))


@scenario
def an_instance() -> list[Any]:
    model = new_model()
    rebuilt = jtu.tree_map(lambda leaf: leaf + 1, model)
    assert not tree_equal(model, rebuilt)
    assert tree_pformat(model)
    return [model, rebuilt, model.weight, rebuilt.weight, model.token]


@scenario
def an_instance_that_refers_to_itself() -> list[Any]:
    model = Model(X + 1, [])
    model.inner.append(Partial(model.scaled, model))
    return [model, model.weight]


@scenario
def an_instance_that_was_refused() -> list[Any]:
    token = Token()
    with contextlib.suppress(TypeError):
        Model(token, unknown=1)
    return [token]


@scenario
def parts_and_replacements() -> list[Any]:
    model, token = new_model(), Token()
    parts = partition(model, is_array)
    changed = tree_at(lambda model: model.weight, combine(*parts), token)
    _, static = hashable_partition(model, is_array)
    hash(static)
    return [model, *parts, changed, token, model.weight, model.token]


@scenario
def a_jitted_function() -> list[Any]:
    token = Token()

    def function(x: jax.Array) -> Any:
        return x + 1, token

    jitted = filter_jit(function)
    jitted(X)
    return [function, jitted, token]


@scenario
def a_jitted_function_of_a_static_value() -> list[Any]:
    token = Token()

    def function(x: jax.Array, token: Token) -> Any:
        return x + 1, token

    filter_jit(function)(X, token)
    return [function, token]


@scenario
def a_jitted_function_of_a_model() -> list[Any]:
    model = new_model()

    def function(model: Model, x: jax.Array) -> Any:
        return model, model(x)

    out, _ = filter_jit(function)(model, X)
    return [function, model, model.weight, model.token, out, out.weight]


@scenario
def a_model_passed_to_a_function_that_stays() -> list[Any]:
    model = Model(X + 1, {"a": X})
    out = stays_jitted(model, X)
    return [model, model.weight, out, out.weight]


@scenario
def a_jitted_model() -> list[Any]:
    model = Model(X + 1, [X])
    jitted = filter_jit(model)
    jitted(X)
    return [model, model.weight, jitted]


@scenario
def a_jitted_method() -> list[Any]:
    model = Model(X + 1, [X])
    method = model.scaled
    jitted = filter_jit(method)
    jitted(X)
    return [model, model.weight, method, jitted]


@scenario
def a_method_jitted_by_jax() -> list[Any]:
    model = Model(X + 1, [X])
    jitted = jax.jit(model.scaled)
    jitted(X)
    return [model, jitted]


@scenario
def a_jitted_partial() -> list[Any]:
    model = new_model()

    def function(model: Model, x: jax.Array) -> jax.Array:
        return model(x)

    filter_jit(Partial(function, model))(X)
    filter_jit(functools.partial(function, model))(X)
    return [function, model, model.weight, model.token]


@scenario
def a_function_that_failed() -> list[Any]:
    token = Token()

    def function(x: jax.Array) -> jax.Array:
        raise ValueError(token)

    with contextlib.suppress(ValueError):
        filter_jit(function)(X)
    return [function, token]


@scenario
def a_lowered_and_a_compiled_program() -> list[Any]:
    model = new_model()

    def function(model: Model, x: jax.Array) -> jax.Array:
        return model(x)

    lowered = filter_jit(function).lower(model, X)
    compiled = lowered.compile()
    compiled(model, X)
    return [function, model, lowered, compiled, model.token]


@scenario
def gradients() -> list[Any]:
    model = new_model()

    def function(model: Model, x: jax.Array) -> jax.Array:
        return model(x) ** 2

    gradient = filter_grad(function)(model, X)
    value, _ = filter_value_and_grad(function)(model, X)
    return [function, model, gradient, gradient.weight, value, model.token]


@scenario
def a_jitted_gradient() -> list[Any]:
    model = new_model()

    def function(model: Model, x: jax.Array) -> jax.Array:
        return model(x) ** 2

    gradient = filter_jit(filter_grad(function))(model, X)
    return [function, model, gradient, gradient.weight, model.token]


@scenario
def the_explicit_forms() -> list[Any]:
    model = Model(X + 1)

    def function(model: Model, x: jax.Array) -> jax.Array:
        return model(x) ** 2

    run = jitf(gradf(function, filter_fn=is_inexact_array), filter_fn=is_inexact_array)
    gradient = run(model, X)
    return [function, run, model, gradient]


@scenario
def forward_and_reverse_products() -> list[Any]:
    model = new_model()
    tangent = jtu.tree_map(lambda leaf: leaf if is_array(leaf) else None, model)

    def function(model: Model) -> jax.Array:
        return model(X)

    out, _ = filter_jvp(function, (model,), (tangent,))
    _, pull_back = filter_vjp(function, model)
    [cotangent] = pull_back(out)
    return [function, model, model.weight, tangent, cotangent, pull_back]


@scenario
def custom_rules() -> list[Any]:
    model, token = new_model(), Token()

    @filter_custom_jvp
    def forward(model: Model) -> jax.Array:
        return model(X)

    @forward.def_jvp
    def _(primals: Any, tangents: Any) -> Any:
        return forward(*primals), jnp.sum(tangents[0].weight) if token else None

    @filter_custom_vjp
    def reverse(model: Model) -> jax.Array:
        return model(X)

    reverse.def_fwd(lambda perturbed, model: (model(X), token))
    reverse.def_bwd(lambda residuals, cotangent, perturbed, model: filter_grad(loss)(model, X))
    filter_grad(forward)(model)
    filter_grad(reverse)(model)
    return [model, token, forward, reverse]


@scenario
def checkpoints() -> list[Any]:
    model = new_model()

    def function(x: jax.Array) -> jax.Array:
        return model(x)

    filter_grad(filter_checkpoint(function))(X)
    return [function, model, model.weight]


def checkpoints_of_plain_jax() -> list[Any]:
    weight = X + 1
    jax.grad(jax.checkpoint(lambda x: jnp.sum(weight * x)))(X)
    return [weight]


PLAIN["checkpoints"] = checkpoints_of_plain_jax


@scenario
def closures() -> list[Any]:
    model = new_model()

    def function(x: jax.Array) -> jax.Array:
        return model(x)

    converted = filter_closure_convert(function, X)
    converted(X)
    return [function, model, model.weight, converted]


@scenario
def shapes() -> list[Any]:
    model = new_model()

    def function(model: Model, x: jax.Array) -> Any:
        return model.weight, model(x)

    filter_eval_shape(function, model, X)
    filter_make_jaxpr(function)(model, X)
    return [function, model, model.weight, model.token]


@scenario
def shapes_that_are_remembered() -> list[Any]:
    model = new_model()

    def function(model: Model, x: jax.Array) -> Any:
        return model(x)

    cached_filter_eval_shape(function, model, X)
    return [function, model, model.weight, model.token]


@scenario
def shapes_that_are_remembered_of_a_partial() -> list[Any]:
    token = Token()

    def function(token: Token, x: jax.Array) -> Any:
        return x + 1

    cached_filter_eval_shape(functools.partial(function, token), X)
    return [function, token]


@scenario
def shapes_that_are_remembered_of_a_tree() -> list[Any]:
    def function(x: jax.Array) -> Any:
        return x + 1

    cached_filter_eval_shape(Partial(function), X)
    return [function]


def a_class() -> list[Any]:
    """A class cannot be freed: JAX keeps each that it was told of. Its instances can."""

    class Local(Module):
        weight: jax.Array
        name: str = field(static=True, default="name")

        def scaled(self, x: jax.Array) -> jax.Array:
            return self.weight * x

    local = Local(X + 1)
    jtu.tree_map(lambda leaf: leaf, local)
    local.scaled(X)
    return [local, local.weight, local.scaled]


def a_class_of_plain_jax() -> list[Any]:
    """What JAX needs for a dataclass with the same fields."""

    @functools.partial(jtu.register_dataclass, data_fields=["weight"], meta_fields=["name"])
    @dataclasses.dataclass(frozen=True)
    class Local:
        weight: jax.Array
        name: str = "name"

        def scaled(self, x: jax.Array) -> jax.Array:
            return self.weight * x

    local = Local(X + 1)
    jtu.tree_map(lambda leaf: leaf, local)
    local.scaled(X)
    return [local, local.weight]


def static_values_in_shapes() -> list[Any]:
    token = Token()
    filter_eval_shape(lambda x: (x, token), X)
    return [token]


def static_values_in_shapes_of_plain_jax() -> list[Any]:
    token = Token()
    jax.eval_shape(lambda x: (x, Static(token)), X)
    return [token]
