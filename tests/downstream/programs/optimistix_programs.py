"""Least squares, root finding, minimisation and fixed points with optimistix."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import lineax as lx
import optax
import optimistix as optx
from program import Program

X = jnp.array([0.7, 1.3])
Y = jnp.array([0.6, 0.4])
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}
LOOSE: dict[str, Any] = {"rtol": 1e-2, "atol": 1e-2}  # reached in as many steps, however it rounds
TIMES = jnp.linspace(0.0, 2.0, 6)
THROUGH = optx.RecursiveCheckpointAdjoint()


def told(solution: optx.Solution) -> dict[str, Any]:
    """Give what a solve tells besides its state."""
    steps = solution.stats["num_steps"]
    return {"value": solution.value, "aux": solution.aux, "steps": steps, "result": solution.result}


def residuals(y: jax.Array, x: jax.Array) -> jax.Array:
    return y[0] * jnp.exp(-y[1] * TIMES) - x[0] * jnp.exp(-x[1] * TIMES) - 0.01 * jnp.sin(5 * TIMES)


def roots(y: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.stack([y[0] + 0.3 * jnp.sin(y[1]) - x[0], y[1] + 0.2 * y[0] ** 2 - x[1]])


def cost(y: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.sum((y - x) ** 2) + 0.5 * (y[0] * y[1] - x[0]) ** 2


def mapped(y: jax.Array, x: jax.Array) -> jax.Array:
    return 0.5 * jnp.cos(y[::-1]) + 0.3 * x


def cubic(y: jax.Array, x: jax.Array) -> jax.Array:
    return y**3 + x[1] * y - x[0]


def tree_cost(y: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    return jnp.sum((y["a"] - x) ** 2) + (y["b"] * x[0] - 1) ** 2


def with_aux(fn: Callable[..., Any]) -> Callable[..., Any]:
    return lambda y, x: (fn(y, x), {"sum": jnp.sum(y), "x": x})


def least_squares(solver: Any, x: jax.Array, **options: Any) -> Any:
    return told(optx.least_squares(residuals, solver, Y, args=x, **options))


def root_find(solver: Any, x: jax.Array, **options: Any) -> Any:
    return told(optx.root_find(roots, solver, Y, args=x, **options))


def minimise(solver: Any, x: jax.Array, **options: Any) -> Any:
    return told(optx.minimise(cost, solver, Y, args=x, **options))


def fixed_point(solver: Any, x: jax.Array, **options: Any) -> Any:
    return told(optx.fixed_point(mapped, solver, Y, args=x, **options))


LEAST_SQUARES = {
    "levenberg_marquardt": optx.LevenbergMarquardt(**CLOSE),
    "indirect_levenberg_marquardt": optx.IndirectLevenbergMarquardt(**CLOSE),
    "gauss_newton": optx.GaussNewton(**CLOSE),
    "dogleg": optx.Dogleg(**CLOSE),
    "best_so_far_least_squares": optx.BestSoFarLeastSquares(optx.LevenbergMarquardt(**CLOSE)),
}
ROOTS = {
    "newton": optx.Newton(**CLOSE),
    "chord": optx.Chord(**CLOSE),
    "best_so_far_root": optx.BestSoFarRootFinder(optx.Newton(**CLOSE)),
    "levenberg_marquardt_for_a_root": optx.LevenbergMarquardt(**CLOSE),
    "newton_with_qr": optx.Newton(**CLOSE, linear_solver=lx.QR()),
}
MINIMA = {
    "bfgs": optx.BFGS(**CLOSE),
    "bfgs_hessian": optx.BFGS(**CLOSE, use_inverse=False),
    "dfp": optx.DFP(**LOOSE),
    "lbfgs": optx.LBFGS(**LOOSE, history_length=3),
    "nonlinear_cg": optx.NonlinearCG(**LOOSE),
    "nonlinear_cg_dai_yuan": optx.NonlinearCG(**LOOSE, method=optx.dai_yuan),
    "gradient_descent": optx.GradientDescent(learning_rate=0.1, **CLOSE),
    "nelder_mead": optx.NelderMead(**CLOSE),
    "optax_adam": optx.OptaxMinimiser(optax.adam(0.05), **CLOSE),
    "best_so_far_minimum": optx.BestSoFarMinimiser(
        optx.OptaxMinimiser(optax.sgd(0.1, momentum=0.5), **CLOSE)
    ),
}
FIXED_POINTS = {
    "fixed_point_iteration": optx.FixedPointIteration(**CLOSE),
    "best_so_far_fixed_point": optx.BestSoFarFixedPoint(optx.FixedPointIteration(**CLOSE)),
    "newton_for_a_fixed_point": optx.Newton(**CLOSE),
}


def bisect(x: jax.Array) -> Any:
    options = {"lower": -2.0, "upper": 3.0}
    solver = optx.Bisection(rtol=1e-5, atol=1e-5)
    return told(optx.root_find(cubic, solver, jnp.array(0.0), args=x, options=options))


def bisect_outside_and_raise(x: jax.Array) -> Any:
    options = {"lower": 2.0, "upper": 3.0}
    solver = optx.Bisection(rtol=1e-5, atol=1e-5)
    return optx.root_find(cubic, solver, jnp.array(2.0), args=x, options=options).value


def search_golden_section(x: jax.Array) -> Any:
    options = {"lower": -1.0, "upper": 2.0}
    solver = optx.GoldenSearch(rtol=1e-3, atol=1e-3)
    start = jnp.array(0.5)
    solution = optx.minimise(lambda y, a: (y - a[0]) ** 2, solver, start, x, options=options)
    return told(solution)


def keep_aux(x: jax.Array) -> Any:
    newton, bfgs = optx.Newton(**CLOSE), optx.BFGS(**CLOSE)
    root = optx.root_find(with_aux(roots), newton, Y, args=x, has_aux=True)
    return told(root), told(optx.minimise(with_aux(cost), bfgs, Y, args=x, has_aux=True))


def minimise_over_a_tree(x: jax.Array) -> Any:
    start = {"a": jnp.zeros(2), "b": jnp.array(0.1)}
    return told(optx.minimise(tree_cost, optx.BFGS(**CLOSE), start, args=x))


def say_the_jacobian_is_definite(x: jax.Array) -> Any:
    tags = frozenset({lx.positive_semidefinite_tag})
    solver = optx.Newton(**CLOSE, linear_solver=lx.Cholesky())
    return told(optx.root_find(jax.grad(cost), solver, Y, args=x, tags=tags))


def implicit_adjoint_with_cg(x: jax.Array) -> Any:
    adjoint = optx.ImplicitAdjoint(lx.Normal(lx.CG(rtol=1e-5, atol=1e-5)))
    return root_find(optx.Newton(**CLOSE), x, adjoint=adjoint)


def closed_over(x: jax.Array) -> Any:
    return told(optx.root_find(lambda y, _: roots(y, x), optx.Newton(**CLOSE), Y))


def best_of_a_failed_solve(x: jax.Array) -> Any:
    solver = optx.BestSoFarMinimiser(optx.GradientDescent(learning_rate=1.5, **CLOSE))
    return minimise(solver, x, max_steps=5, throw=False)


def print_each_step(x: jax.Array) -> Any:
    return least_squares(optx.LevenbergMarquardt(**CLOSE, verbose=True), x)


def compat_minimize(x: jax.Array) -> Any:
    found = optx.compat.minimize(cost, Y, args=(x,), method="BFGS", tol=1e-4)
    return found.x, found.fun, found.success, found.nit


def step_by_hand(x: jax.Array) -> Any:
    solver, tags = optx.BFGS(**CLOSE), frozenset()
    fn, options = with_aux(cost), {}
    f_struct, aux_struct = jax.eval_shape(fn, Y, x)
    state = solver.init(fn, Y, x, options, f_struct, aux_struct, tags)
    y = Y
    for _ in range(3):
        y, state, _ = solver.step(fn, y, x, options, state, tags)
    done, result = solver.terminate(fn, y, x, options, state, tags)
    return y, done, result


def diverge_and_raise(x: jax.Array) -> Any:
    return optx.root_find(roots, optx.Newton(**CLOSE), Y * jnp.inf, args=x).value


def root_of_fewer_equations(x: jax.Array) -> Any:
    return told(optx.root_find(lambda y, a: y[:1] * y[1:] - a[:1], optx.Newton(**CLOSE), Y, x))


SOLVES: dict[str, tuple[Callable[..., Any], Any]] = {
    **{name: (least_squares, solver) for name, solver in LEAST_SQUARES.items()},
    **{name: (root_find, solver) for name, solver in ROOTS.items()},
    **{name: (minimise, solver) for name, solver in MINIMA.items()},
    **{name: (fixed_point, solver) for name, solver in FIXED_POINTS.items()},
}
THROUGH_THE_STEPS = ("levenberg_marquardt", "newton", "gradient_descent", "fixed_point_iteration")
STOPPED = ("levenberg_marquardt", "newton", "bfgs", "nelder_mead", "fixed_point_iteration")
OTHERS = (
    *(bisect, search_golden_section, keep_aux, minimise_over_a_tree, closed_over),
    *(say_the_jacobian_is_definite, implicit_adjoint_with_cg),
)
WITHOUT_GRADIENT = (
    *(bisect_outside_and_raise, best_of_a_failed_solve, print_each_step, compat_minimize),
    *(step_by_hand, diverge_and_raise, root_of_fewer_equations),
)


def options_of(name: str, **options: Any) -> Callable[[jax.Array], Any]:
    solve, solver = SOLVES[name]
    return functools.partial(solve, solver, **options)


PROGRAMS: dict[str, Program] = {
    **{name: Program(options_of(name), X) for name in SOLVES},
    **{
        f"{name}_through_the_steps": Program(options_of(name, adjoint=THROUGH, max_steps=64), X)
        for name in THROUGH_THE_STEPS
    },
    **{
        f"{name}_stopped": Program(options_of(name, max_steps=2, throw=False), X, grad=False)
        for name in STOPPED
    },
    "newton_stopped_and_raise": Program(options_of("newton", max_steps=1), X, grad=False),
    **{run.__name__: Program(run, X) for run in OTHERS},
    **{run.__name__: Program(run, X, grad=False) for run in WITHOUT_GRADIENT},
}
