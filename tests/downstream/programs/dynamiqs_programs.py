"""Quantum systems with dynamiqs: Schroedinger and Lindblad equations, by each kind of gradient."""

import functools
from typing import Any

import dynamiqs as dq
import jax
import jax.numpy as jnp
from program import Program

X = jnp.array([1.0, 0.3])
TIMES = jnp.linspace(0.0, 1.0, 4)
SIZE = 4
QUIET: dict[str, Any] = {"progress_meter": False}


def hamiltonian(x: jax.Array) -> Any:
    a = dq.destroy(SIZE)
    drive = dq.modulated(lambda t: x[1] * jnp.cos(3 * t), a + a.dag())
    return x[0] * dq.number(SIZE) + drive


def told(solved: Any) -> Any:
    """Give the states as real arrays, and what was expected."""
    states = solved.states.to_jax()
    return states.real, states.imag, solved.expects.real


def schroedinger(method: Any, gradient: Any, x: jax.Array) -> Any:
    solved = dq.sesolve(
        hamiltonian(x),
        dq.basis(SIZE, 1),
        TIMES,
        exp_ops=[dq.number(SIZE)],
        method=method,
        gradient=gradient,
        **QUIET,
    )
    return told(solved)


def lindblad(method: Any, gradient: Any, x: jax.Array) -> Any:
    solved = dq.mesolve(
        hamiltonian(x),
        [jnp.sqrt(jnp.abs(x[1])) * dq.destroy(SIZE)],
        dq.basis(SIZE, 2),
        TIMES,
        exp_ops=[dq.number(SIZE), dq.position(SIZE)],
        method=method,
        gradient=gradient,
        **QUIET,
    )
    return told(solved)


def batched(x: jax.Array) -> Any:
    """Hamiltonians and first states side by side."""
    operators = dq.stack([x[0] * dq.number(SIZE), x[1] * dq.position(SIZE)])
    states = [dq.basis(SIZE, 0), dq.coherent(SIZE, 0.5)]
    solved = dq.sesolve(operators, states, TIMES, exp_ops=[dq.number(SIZE)], **QUIET)
    return told(solved)


def propagator(x: jax.Array) -> Any:
    found = dq.sepropagator(x[0] * dq.position(SIZE), TIMES, **QUIET).propagators.to_jax()
    return found.real, found.imag


def fidelity(x: jax.Array) -> jax.Array:
    turned = dq.expm(-1j * x[0] * dq.sigmax()) @ dq.basis(2, 0)
    return dq.fidelity(turned, dq.basis(2, 1)) + dq.purity(dq.todm(turned)) * x[1]


PROGRAMS = {
    "schroedinger": Program(functools.partial(schroedinger, dq.method.Tsit5(), None), X),
    "direct": Program(functools.partial(schroedinger, dq.method.Tsit5(), dq.gradient.Direct()), X),
    "backward": Program(
        functools.partial(
            schroedinger, dq.method.Dopri5(), dq.gradient.BackwardCheckpointed(ncheckpoints=8)
        ),
        X,
    ),
    "forward": Program(
        functools.partial(schroedinger, dq.method.Dopri8(), dq.gradient.Forward()), X, grad=False
    ),
    "implicit": Program(functools.partial(schroedinger, dq.method.Kvaerno3(), None), X),
    "lindblad": Program(functools.partial(lindblad, dq.method.Tsit5(), None), X),
    "rouchon": Program(functools.partial(lindblad, dq.method.Rouchon1(0.05), None), X),
    "euler": Program(functools.partial(lindblad, dq.method.Euler(0.05), None), X),
    "batched": Program(batched, X),
    "propagator": Program(propagator, X),
    "fidelity": Program(fidelity, X),
}
