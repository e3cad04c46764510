"""Functions with rules of their own, for tests of what happens to them in every transformation."""

from eqx_filter import filter_custom_jvp, filter_custom_vjp


@filter_custom_vjp
def product(x, y):
    return x * y


@product.def_fwd
def _(perturbed, x, y):
    return x * y, None


@product.def_bwd
def _(residuals, cotangent, perturbed, x, y):
    return cotangent * y


@filter_custom_jvp
def doubled(x):
    return 2 * x


@doubled.def_jvp
def _(primals, tangents):
    return 2 * primals[0], None if tangents[0] is None else 2 * tangents[0]
