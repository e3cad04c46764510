"""Linear solves of each kind with lineax: solvers, operators, least squares, and failures."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import lineax as lx
from program import Program

X = jnp.array([0.5, -0.3, 0.8])
SQUARE = jnp.array([[3.0, 0.5, -0.2], [0.1, 2.5, 0.4], [-0.3, 0.2, 4.0]])
TALL = jnp.array([[3.0, 0.5, -0.2], [0.1, 2.5, 0.4], [-0.3, 0.2, 4.0], [1.0, -1.0, 0.5]])
VECTOR = jnp.array([1.0, -2.0, 0.5])
CLOSE: dict[str, Any] = {"rtol": 1e-6, "atol": 1e-6}
LOOSE = {"rtol": 1e-3, "atol": 1e-3}


def told(solution: lx.Solution) -> dict[str, Any]:
    """Give what a solve tells besides its state."""
    return {"value": solution.value, "stats": solution.stats, "result": solution.result}


def square(x: jax.Array) -> lx.MatrixLinearOperator:
    return lx.MatrixLinearOperator(SQUARE + 0.1 * jnp.outer(x, jnp.sin(x)))


def definite(x: jax.Array) -> lx.MatrixLinearOperator:
    matrix = SQUARE @ SQUARE.T + jnp.outer(x, x)
    return lx.MatrixLinearOperator(matrix, lx.positive_semidefinite_tag)


def negative(x: jax.Array) -> lx.AbstractLinearOperator:
    return lx.MatrixLinearOperator(-definite(x).as_matrix(), lx.negative_semidefinite_tag)


def tall(x: jax.Array) -> lx.MatrixLinearOperator:
    return lx.MatrixLinearOperator(TALL + 0.1 * jnp.outer(jnp.append(x, 1.0), x))


def lacking_rank(x: jax.Array) -> lx.MatrixLinearOperator:
    return lx.MatrixLinearOperator(jnp.stack([x, 2 * x, x + 1]))


def diagonal(x: jax.Array) -> lx.DiagonalLinearOperator:
    return lx.DiagonalLinearOperator(2 + x)


def tridiagonal(x: jax.Array) -> lx.TridiagonalLinearOperator:
    return lx.TridiagonalLinearOperator(4 + x, x[:2], jnp.cos(x[1:]))


def lower(x: jax.Array) -> lx.MatrixLinearOperator:
    return lx.MatrixLinearOperator(jnp.tril(square(x).as_matrix()), lx.lower_triangular_tag)


def upper(x: jax.Array) -> lx.MatrixLinearOperator:
    matrix = jnp.triu(SQUARE * x, 1) + jnp.eye(3)
    return lx.MatrixLinearOperator(matrix, (lx.upper_triangular_tag, lx.unit_diagonal_tag))


def jacobian(x: jax.Array, jac: Any = None) -> lx.JacobianLinearOperator:
    return lx.JacobianLinearOperator(lambda y, a: a @ jnp.tanh(y) + y**2, x, SQUARE, jac=jac)


def function(x: jax.Array) -> lx.FunctionLinearOperator:
    return lx.FunctionLinearOperator(lambda y: square(x).mv(y), jax.eval_shape(lambda: VECTOR))


def tree(x: jax.Array) -> lx.PyTreeLinearOperator:
    blocks = {"a": {"a": 3 + x[0], "b": x[:2]}, "b": {"a": x[1:], "b": 2 * jnp.eye(2) + x[0]}}
    structure = {"a": jnp.zeros(()), "b": jnp.zeros(2)}
    return lx.PyTreeLinearOperator(blocks, jax.eval_shape(lambda: structure))


Operator = Callable[[jax.Array], lx.AbstractLinearOperator]


def solve(operator: Operator, solver: lx.AbstractLinearSolver, x: jax.Array) -> Any:
    return told(lx.linear_solve(operator(x), VECTOR + x, solver))


def solve_tall(solver: lx.AbstractLinearSolver, x: jax.Array) -> Any:
    return told(lx.linear_solve(tall(x), jnp.append(VECTOR, x[0]), solver))


def solve_wide(solver: lx.AbstractLinearSolver, x: jax.Array) -> Any:
    return told(lx.linear_solve(tall(x).T, VECTOR + x, solver))


SOLVES: dict[str, tuple[Operator, lx.AbstractLinearSolver]] = {
    "lu": (square, lx.LU()),
    "qr": (square, lx.QR()),
    "svd": (square, lx.SVD()),
    "gmres": (square, lx.GMRES(**CLOSE)),
    "gmres_restarted": (square, lx.GMRES(**CLOSE, restart=2, stagnation_iters=10)),
    "bicgstab": (square, lx.BiCGStab(**LOOSE)),
    "normal_cg": (square, lx.Normal(lx.CG(**CLOSE))),
    "normal_cholesky": (square, lx.Normal(lx.Cholesky())),
    "lsmr": (square, lx.LSMR(**CLOSE)),
    "auto_square": (square, lx.AutoLinearSolver(well_posed=True)),
    "auto_any_shape": (square, lx.AutoLinearSolver(well_posed=None)),
    "cholesky": (definite, lx.Cholesky()),
    "cholesky_of_negative": (negative, lx.Cholesky()),
    "cg": (definite, lx.CG(**CLOSE)),
    "cg_unstabilised": (definite, lx.CG(**CLOSE, stabilise_every=None, norm=jnp.linalg.norm)),
    "cg_of_negative": (negative, lx.CG(**CLOSE)),
    "auto_definite": (definite, lx.AutoLinearSolver(well_posed=True)),
    "diagonal": (diagonal, lx.Diagonal()),
    "auto_diagonal": (diagonal, lx.AutoLinearSolver(well_posed=True)),
    "tridiagonal": (tridiagonal, lx.Tridiagonal()),
    "lower_triangular": (lower, lx.Triangular()),
    "upper_triangular_unit_diagonal": (upper, lx.Triangular()),
    "jacobian": (jacobian, lx.LU()),
    "jacobian_forward": (functools.partial(jacobian, jac="fwd"), lx.QR()),
    "jacobian_backward": (functools.partial(jacobian, jac="bwd"), lx.GMRES(**CLOSE)),
    "function": (function, lx.GMRES(**CLOSE)),
    "function_lu": (function, lx.LU()),
}

LEAST_SQUARES: dict[str, lx.AbstractLinearSolver] = {
    "qr": lx.QR(),
    "svd": lx.SVD(),
    "lsmr": lx.LSMR(**CLOSE),
    "auto": lx.AutoLinearSolver(well_posed=None),
}


def compose_operators(x: jax.Array) -> Any:
    total = 2 * square(x) + diagonal(x) @ lower(x) - upper(x).T / (3 + x[0])
    minus = -total + lx.IdentityLinearOperator(jax.eval_shape(lambda: VECTOR))
    return total.as_matrix(), minus.mv(x), told(lx.linear_solve(minus, VECTOR))


def tag_an_operator(x: jax.Array) -> Any:
    operator = lx.TaggedLinearOperator(function(x) @ function(x).T, lx.positive_semidefinite_tag)
    answers = (lx.is_positive_semidefinite(operator), lx.is_symmetric(operator))
    return answers, told(lx.linear_solve(operator, VECTOR, lx.CG(**CLOSE)))


def linearise_and_materialise(x: jax.Array) -> Any:
    operator = jacobian(x)
    flat = lx.materialise(lx.linearise(operator))
    return flat.as_matrix(), lx.diagonal(operator), lx.conj(operator).mv(x), operator.T.mv(x)


def solve_a_tree(x: jax.Array) -> Any:
    vector = {"a": x[0], "b": jnp.cos(x[:2])}
    return told(lx.linear_solve(tree(x), vector, lx.LU())), tree(x).mv(vector)


def solve_complex(x: jax.Array) -> Any:
    operator = lx.MatrixLinearOperator(square(x).as_matrix() + 1j * jnp.diag(x))
    solved = [lx.linear_solve(operator, VECTOR + 1j * x, it) for it in (lx.LU(), lx.QR())]
    return [(it.value, it.value.real, it.value.imag, it.result) for it in solved]


def reuse_the_state(x: jax.Array) -> Any:
    solver = lx.LU()
    state = solver.init(square(x), options={})
    vectors = (VECTOR, x, jnp.cos(x))
    return [told(lx.linear_solve(square(x), it, solver, state=state)) for it in vectors]


def reuse_the_transposed_state(x: jax.Array) -> Any:
    solver = lx.QR()
    state, options = solver.transpose(solver.init(square(x), options={}), {})
    return told(lx.linear_solve(square(x).T, VECTOR, solver, options=options, state=state))


def precondition(x: jax.Array) -> Any:
    inverse = lx.DiagonalLinearOperator(1 / lx.diagonal(definite(x)))
    options = {
        "preconditioner": lx.TaggedLinearOperator(inverse, lx.positive_semidefinite_tag),
        "y0": jnp.ones(3),
    }
    return told(lx.linear_solve(definite(x), VECTOR, lx.CG(**CLOSE), options=options))


def invert(x: jax.Array) -> Any:
    inverse = lx.invert(square(x), lx.LU())
    return inverse.mv(x), inverse.as_matrix()


def jvp_of_a_solve(x: jax.Array) -> Any:
    def value(y: jax.Array) -> jax.Array:
        return lx.linear_solve(square(y), VECTOR, lx.GMRES(**CLOSE)).value

    return jax.jvp(value, (x,), (VECTOR,))


def second_derivative(x: jax.Array) -> Any:
    def value(y: jax.Array) -> jax.Array:
        return jnp.sum(lx.linear_solve(definite(y), VECTOR, lx.Cholesky()).value ** 2)

    return jax.hessian(value)(x)


def batch_of_matrices(x: jax.Array) -> Any:
    matrices = jnp.stack([square(x).as_matrix(), square(2 * x).as_matrix()])
    return jax.vmap(
        lambda it: lx.linear_solve(lx.MatrixLinearOperator(it), VECTOR, lx.GMRES(**CLOSE)).value
    )(matrices)


def stop_at_max_steps(x: jax.Array) -> Any:
    solver = lx.CG(rtol=1e-12, atol=1e-12, max_steps=1)
    return told(lx.linear_solve(definite(x), VECTOR, solver, throw=False))


def stop_at_max_steps_and_raise(x: jax.Array) -> Any:
    solver = lx.CG(rtol=1e-12, atol=1e-12, max_steps=1)
    return lx.linear_solve(definite(x), VECTOR, solver).value


def singular(x: jax.Array) -> Any:
    solution = lx.linear_solve(lacking_rank(x), VECTOR, lx.LU(), throw=False)
    return solution.result, jnp.isfinite(solution.value)


def singular_and_raise(x: jax.Array) -> Any:
    return lx.linear_solve(lacking_rank(x), VECTOR, lx.LU()).value


def nonfinite_and_raise(x: jax.Array) -> Any:
    return lx.linear_solve(square(x), VECTOR.at[0].set(jnp.nan), lx.LU()).value


def not_definite(x: jax.Array) -> Any:
    return lx.linear_solve(square(x), VECTOR, lx.Cholesky()).value


def wrong_shape(x: jax.Array) -> Any:
    return lx.linear_solve(square(x), x[:2], lx.LU()).value


def pseudoinverse(x: jax.Array) -> Any:
    return told(lx.linear_solve(lacking_rank(x), VECTOR, lx.SVD()))


OTHERS: dict[str, Callable[[jax.Array], Any]] = {
    it.__name__: it
    for it in (
        *(compose_operators, tag_an_operator, linearise_and_materialise, solve_a_tree),
        *(solve_complex, reuse_the_state, reuse_the_transposed_state, precondition, invert),
        *(jvp_of_a_solve, batch_of_matrices, pseudoinverse),
    )
}

WITHOUT_GRADIENT = (
    second_derivative,
    stop_at_max_steps,
    singular,
    singular_and_raise,
    stop_at_max_steps_and_raise,
    nonfinite_and_raise,
    not_definite,
    wrong_shape,
)

PROGRAMS: dict[str, Program] = {
    **{name: Program(functools.partial(solve, *it), X) for name, it in SOLVES.items()},
    **{
        f"tall_{name}": Program(functools.partial(solve_tall, solver), X)
        for name, solver in LEAST_SQUARES.items()
    },
    **{
        f"wide_{name}": Program(functools.partial(solve_wide, solver), X)
        for name, solver in LEAST_SQUARES.items()
    },
    **{name: Program(run, X) for name, run in OTHERS.items()},
    **{run.__name__: Program(run, X, grad=False) for run in WITHOUT_GRADIENT},
}
