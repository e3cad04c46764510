"""Differential equations with diffrax: adjoints, solvers, noise, events, what is saved, meters."""

import functools
from collections.abc import Callable
from typing import Any

import diffrax as dfx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
import optimistix as optx
from program import Program

import equinox as eqx

X = jnp.array([1.0, 0.5])
PID = dfx.PIDController(rtol=1e-3, atol=1e-4)
LOOSE = dfx.PIDController(rtol=1e-2, atol=1e-2)


def told(solution: dfx.Solution) -> dict[str, Any]:
    """Give what a solve tells; of the statistics those that are counts of steps."""
    counts = {name: solution.stats[name] for name in ("num_steps", "num_accepted_steps")}
    return {"ts": solution.ts, "ys": solution.ys, "steps": counts, "result": solution.result}


def oscillate(t: Any, y: jax.Array, args: jax.Array) -> jax.Array:
    return jnp.stack([y[1], args[0] * (1 - y[0] ** 2) * y[1] - y[0] + 0.1 * jnp.sin(t)])


def robertson(t: Any, y: jax.Array, args: jax.Array) -> jax.Array:
    slow, fast = 0.04 * args[0] * y[0], 1e2 * y[1] * y[2]
    return jnp.stack([fast - slow, slow - fast - 3e3 * y[1] ** 2, 3e3 * y[1] ** 2])


def decay(t: Any, y: Any, args: jax.Array) -> Any:
    return jax.tree.map(lambda z: -args[0] * z, y)


def noise(t: Any, y: jax.Array, args: jax.Array) -> jax.Array:
    return jnp.diag(0.3 * args)


def ode(solver: dfx.AbstractSolver, x: jax.Array, t1: float = 2.0, **options: Any) -> Any:
    """Solve the oscillator from `x`, with `x` among its constants too."""
    options = {"dt0": 0.1, **options}
    return dfx.diffeqsolve(dfx.ODETerm(oscillate), solver, 0.0, t1, y0=x, args=x, **options)


def solve_ode(solver: dfx.AbstractSolver, options: dict[str, Any], x: jax.Array) -> Any:
    return told(ode(solver, x, **options))


def solve_stiff(solver: dfx.AbstractSolver, x: jax.Array) -> Any:
    start = jnp.stack([x[0], jnp.zeros(()), x[1] / 10])
    options: dict[str, Any] = {"stepsize_controller": LOOSE, "args": x}
    return told(dfx.diffeqsolve(dfx.ODETerm(robertson), solver, 0.0, 1.0, 0.01, start, **options))


def sde_terms(path: dfx.AbstractPath) -> dfx.MultiTerm:
    return dfx.MultiTerm(dfx.ODETerm(oscillate), dfx.ControlTerm(noise, path))


def tree_path(levy_area: Any = dfx.BrownianIncrement) -> dfx.VirtualBrownianTree:
    return dfx.VirtualBrownianTree(0.0, 1.0, 0.05, (2,), jr.key(1), levy_area=levy_area)


def unsafe_path(levy_area: Any = dfx.BrownianIncrement) -> dfx.UnsafeBrownianPath:
    return dfx.UnsafeBrownianPath((2,), jr.key(1), levy_area=levy_area)


def solve_sde(
    path: Callable[[], dfx.AbstractPath],
    solver: dfx.AbstractSolver,
    options: dict[str, Any],
    x: jax.Array,
) -> Any:
    options = {"dt0": 0.1, **options}
    return told(dfx.diffeqsolve(sde_terms(path()), solver, 0.0, 1.0, y0=x, args=x, **options))


ADAPTIVE: dict[str, Any] = {"stepsize_controller": PID}
ODES: dict[str, tuple[dfx.AbstractSolver, dict[str, Any]]] = {
    "euler": (dfx.Euler(), {}),
    "heun": (dfx.Heun(), {}),
    "leapfrog_midpoint": (dfx.LeapfrogMidpoint(), {}),
    "reversible_heun": (dfx.ReversibleHeun(), ADAPTIVE),
    "bosh3": (dfx.Bosh3(), ADAPTIVE),
    "tsit5": (dfx.Tsit5(), ADAPTIVE),
    "dopri8": (dfx.Dopri8(), ADAPTIVE),
    "half_solver": (dfx.HalfSolver(dfx.Midpoint()), ADAPTIVE),
    "backwards_in_time": (dfx.Tsit5(), {"t1": -1.0, "dt0": -0.1}),
    "pid_with_coefficients": (
        dfx.Tsit5(),
        {
            "stepsize_controller": dfx.PIDController(
                1e-3, 1e-4, pcoeff=0.4, icoeff=0.3, dtmin=1e-3, dtmax=0.5
            ),
            "dt0": None,
        },
    ),
    "clipped_to_jumps": (
        dfx.Tsit5(),
        {
            "stepsize_controller": dfx.ClipStepSizeController(
                PID, step_ts=jnp.array([0.35, 1.1]), jump_ts=jnp.array([0.5])
            )
        },
    ),
    "stepping_to_times": (
        dfx.Tsit5(),
        {"stepsize_controller": dfx.StepTo(jnp.array([0.0, 0.3, 1.0, 2.0])), "dt0": None},
    ),
    "direct_adjoint": (dfx.Tsit5(), {**ADAPTIVE, "adjoint": dfx.DirectAdjoint(), "max_steps": 64}),
    "few_checkpoints": (
        dfx.Tsit5(),
        {**ADAPTIVE, "adjoint": dfx.RecursiveCheckpointAdjoint(checkpoints=3)},
    ),
    "max_steps_none": (dfx.Tsit5(), {"max_steps": None}),
    "implicit_euler": (dfx.ImplicitEuler(), ADAPTIVE),
}
DIFFERENTIATED = (
    *("euler", "reversible_heun", "tsit5", "direct_adjoint", "few_checkpoints", "implicit_euler"),
    *("pid_with_coefficients", "sde_euler", "sde_heun_adaptive", "sde_unsafe_path"),
)
STIFF = {
    "kvaerno3": dfx.Kvaerno3(),
    "kvaerno5": dfx.Kvaerno5(),
    "kvaerno3_chord": dfx.Kvaerno3(root_finder=optx.Chord(rtol=1e-3, atol=1e-3)),
}
SDES: dict[str, tuple[Callable[[], dfx.AbstractPath], dfx.AbstractSolver, dict[str, Any]]] = {
    "sde_euler": (tree_path, dfx.Euler(), {}),
    "sde_heun_adaptive": (tree_path, dfx.Heun(), {"stepsize_controller": LOOSE}),
    "sde_euler_heun": (tree_path, dfx.EulerHeun(), {}),
    "sde_ito_milstein_commutative": (tree_path, dfx.ItoMilstein(), {}),
    "sde_reversible_heun": (tree_path, dfx.ReversibleHeun(), {}),
    "sde_sra1": (functools.partial(tree_path, dfx.SpaceTimeLevyArea), dfx.SRA1(), {}),
    "sde_shark_adaptive": (
        functools.partial(tree_path, dfx.SpaceTimeLevyArea),
        dfx.ShARK(),
        {"stepsize_controller": LOOSE},
    ),
    "sde_unsafe_path": (unsafe_path, dfx.Heun(), {"adjoint": dfx.DirectAdjoint(), "max_steps": 16}),
}


def implicit_explicit(x: jax.Array) -> Any:
    terms = dfx.MultiTerm(dfx.ODETerm(oscillate), dfx.ODETerm(decay))
    options = {"stepsize_controller": LOOSE, "args": x}
    solved = [
        dfx.diffeqsolve(terms, solver, 0.0, 1.0, 0.1, x, **options)
        for solver in (dfx.KenCarp3(), dfx.Sil3())
    ]
    return [told(it) for it in solved]


def backsolve_adjoint(x: jax.Array) -> Any:
    adjoint = dfx.BacksolveAdjoint(solver=dfx.Tsit5(), stepsize_controller=PID)
    solution = ode(dfx.Tsit5(), x, **ADAPTIVE, adjoint=adjoint)
    return solution.ys


def backsolve_adjoint_at_times(x: jax.Array) -> Any:
    saveat = dfx.SaveAt(ts=jnp.linspace(0.0, 2.0, 4))
    return ode(dfx.Heun(), x, saveat=saveat, adjoint=dfx.BacksolveAdjoint()).ys


def steady_state(x: jax.Array) -> Any:
    term = dfx.ODETerm(lambda t, y, a: a - y - 0.1 * y**3)
    event = dfx.Event(dfx.steady_state_event(rtol=1e-2, atol=1e-2))
    options = {"max_steps": None, "stepsize_controller": PID, "adjoint": dfx.ImplicitAdjoint()}
    solver = dfx.Tsit5()
    solution = dfx.diffeqsolve(term, solver, 0.0, jnp.inf, 0.1, x, x, event=event, **options)
    return solution.ys, solution.result


def forward_mode(x: jax.Array) -> Any:
    def end(y: jax.Array) -> Any:
        return ode(dfx.Tsit5(), y, **ADAPTIVE, adjoint=dfx.ForwardMode()).ys

    return jax.jvp(end, (x,), (jnp.ones(2),)), jax.jacfwd(end)(x)


def through_direct_adjoint_twice(x: jax.Array) -> Any:
    def end(y: jax.Array) -> Any:
        options = {"adjoint": dfx.DirectAdjoint(), "max_steps": 8, "t1": 0.4}
        return jnp.sum(ode(dfx.Heun(), y, **options).ys ** 2)

    return jax.jacfwd(jax.grad(end))(x)


def falls(t: Any, y: jax.Array, args: jax.Array, **kwargs: Any) -> jax.Array:
    return y[0] - 0.2


FALLING = dfx.ODETerm(lambda t, y, a: jnp.stack([y[1], -2.0 * a[0]]))


def event_between_steps(x: jax.Array) -> Any:
    event = dfx.Event(falls, optx.Newton(1e-4, 1e-4, optx.rms_norm))
    return told(dfx.diffeqsolve(FALLING, dfx.Tsit5(), 0.0, 5.0, 0.1, x, x, event=event))


def event_at_a_step(x: jax.Array) -> Any:
    event = dfx.Event(lambda t, y, args, **kwargs: y[0] < 0.2)
    saveat = dfx.SaveAt(t1=True)
    solution = dfx.diffeqsolve(
        FALLING, dfx.Tsit5(), 0.0, 5.0, 0.1, x, x, event=event, saveat=saveat
    )
    return told(solution), solution.event_mask


def first_of_two_events(x: jax.Array) -> Any:
    found = {"falls": falls, "late": lambda t, y, args, **kwargs: t - 0.75}
    event = dfx.Event(found, optx.Newton(1e-4, 1e-4, optx.rms_norm))
    solution = dfx.diffeqsolve(FALLING, dfx.Heun(), 0.0, 5.0, 0.1, x, x, event=event)
    return told(solution), solution.event_mask


def save_at_times(x: jax.Array) -> Any:
    saveat = dfx.SaveAt(t0=True, t1=True, ts=jnp.linspace(0.1, 1.9, 5))
    return told(ode(dfx.Tsit5(), x, **ADAPTIVE, saveat=saveat))


def save_a_function_of_steps(x: jax.Array) -> Any:
    saveat = dfx.SaveAt(steps=True, fn=lambda t, y, args: {"energy": jnp.sum(y**2), "t": t})
    solution = ode(dfx.Tsit5(), x, saveat=saveat, **ADAPTIVE, max_steps=32)
    return jax.tree.map(lambda leaf: jnp.where(jnp.isfinite(leaf), leaf, -1.0), told(solution))


def save_several_things(x: jax.Array) -> Any:
    end = dfx.SubSaveAt(t1=True, fn=lambda t, y, args: y[0])
    times = dfx.SubSaveAt(ts=jnp.array([0.5, 1.0]))
    saveat = dfx.SaveAt(subs={"end": end, "times": times}, solver_state=True, made_jump=True)
    solution = ode(dfx.Tsit5(), x, saveat=saveat)
    return told(solution), solution.made_jump


def dense_output(x: jax.Array) -> Any:
    solution = ode(dfx.Tsit5(), x, **ADAPTIVE, saveat=dfx.SaveAt(dense=True), max_steps=32)
    at = solution.evaluate(jnp.array(0.77))
    return at, solution.evaluate(0.2, 1.3), solution.derivative(jnp.array(1.2))


def dense_output_of_an_implicit_solver(x: jax.Array) -> Any:
    saveat = dfx.SaveAt(dense=True)
    solution = ode(dfx.Kvaerno3(), x, stepsize_controller=LOOSE, saveat=saveat, max_steps=32)
    return jax.vmap(solution.evaluate)(jnp.linspace(0.0, 2.0, 5))


def go_on_from_a_saved_state(x: jax.Array) -> Any:
    saveat = dfx.SaveAt(t1=True, solver_state=True, controller_state=True)
    first = ode(dfx.Tsit5(), x, **ADAPTIVE, saveat=saveat)
    states = {"solver_state": first.solver_state, "controller_state": first.controller_state}
    term, y = dfx.ODETerm(oscillate), first.ys[-1]
    return told(dfx.diffeqsolve(term, dfx.Tsit5(), 2.0, 3.0, 0.1, y, x, **ADAPTIVE, **states))


def tree_state(x: jax.Array) -> Any:
    start = {"a": x, "b": (x[0] * jnp.ones((2, 2)), jnp.sum(x))}
    return told(dfx.diffeqsolve(dfx.ODETerm(decay), dfx.Dopri5(), 0.0, 1.0, 0.1, start, args=x))


def complex_state(x: jax.Array) -> Any:
    term = dfx.ODETerm(lambda t, y, a: (-0.2 + 1j) * a[0] * y)
    start = x + 0.5j * x[::-1]
    with jax.numpy_dtype_promotion("standard"):
        ys: Any = dfx.diffeqsolve(term, dfx.Heun(), 0.0, 1.0, 0.1, start, args=x).ys
    return ys.real, ys.imag


def control_by_a_cubic_path(x: jax.Array) -> Any:
    ts = jnp.linspace(0.0, 1.0, 5)
    data = jnp.stack([jnp.sin(x[0] * ts), ts * x[1]], axis=-1)
    path = dfx.CubicInterpolation(ts, dfx.backward_hermite_coefficients(ts, data))
    term = dfx.ControlTerm(lambda t, y, a: jnp.outer(jnp.tanh(y), a), path).to_ode()
    return told(dfx.diffeqsolve(term, dfx.Tsit5(), 0.0, 1.0, 0.1, x, x)), path.derivative(0.3)


def brownian_path(x: jax.Array) -> Any:
    area = tree_path(dfx.SpaceTimeLevyArea).evaluate(0.1, 0.1 + 0.5 * x[0], use_levy=True)
    unsafe = unsafe_path().evaluate(0.0, x[1])
    return jax.tree.leaves(area), tree_path().evaluate(0.0, x[1]), unsafe


def langevin(x: jax.Array) -> Any:
    gamma, u, force = 2.0 * x[0], 0.5, lambda z, _: 2 * z
    path = tree_path(dfx.SpaceTimeTimeLevyArea)
    drift = dfx.UnderdampedLangevinDriftTerm(gamma, u, force)
    terms = dfx.MultiTerm(drift, dfx.UnderdampedLangevinDiffusionTerm(gamma, u, path))
    return told(dfx.diffeqsolve(terms, dfx.QUICSORT(100.0), 0.0, 1.0, 0.1, (x, jnp.zeros(2))))


class Field(eqx.Module):
    """A vector field with a small network."""

    network: eqx.nn.MLP

    def __call__(self, t: Any, y: jax.Array, args: Any) -> jax.Array:
        return self.network(y)


def train_a_neural_ode(x: jax.Array) -> Any:
    model = Field(eqx.nn.MLP(2, 2, 8, 1, activation=jnp.tanh, key=jr.key(0)))
    ts = jnp.linspace(0.0, 1.0, 4)
    target = jnp.exp(-ts)[:, None] * x
    optim: Any = optax.adam(1e-2)

    @eqx.filter_value_and_grad
    def loss(model: Field) -> jax.Array:
        options = {"saveat": dfx.SaveAt(ts=ts), "stepsize_controller": PID}
        term, solver = dfx.ODETerm(model), dfx.Tsit5()
        ys: Any = dfx.diffeqsolve(term, solver, 0.0, 1.0, 0.1, x, **options).ys
        return jnp.mean((ys - target) ** 2)

    @eqx.filter_jit
    def step(model: Field, state: Any) -> Any:
        value, gradient = loss(model)
        updates, state = optim.update(gradient, state, eqx.filter(model, eqx.is_inexact_array))
        return value, eqx.apply_updates(model, updates), state

    state, values = optim.init(eqx.filter(model, eqx.is_inexact_array)), []
    for _ in range(3):
        value, model, state = step(model, state)
        values.append(value)
    return values, jax.tree.leaves(eqx.filter(model, eqx.is_array))


def text_progress_meter(x: jax.Array) -> Any:
    return told(ode(dfx.Heun(), x, progress_meter=dfx.TextProgressMeter(minimum_increase=0.2)))


def tqdm_progress_meter(x: jax.Array) -> Any:
    return told(ode(dfx.Heun(), x, progress_meter=dfx.TqdmProgressMeter(refresh_steps=5)))


def stop_at_max_steps(x: jax.Array) -> Any:
    return told(ode(dfx.Heun(), x, max_steps=5, throw=False))


def stop_at_max_steps_and_raise(x: jax.Array) -> Any:
    return ode(dfx.Heun(), x, max_steps=5).ys


def stop_at_dtmin_and_raise(x: jax.Array) -> Any:
    controller = dfx.PIDController(1e-9, 1e-9, dtmin=0.05, force_dtmin=False)
    return ode(dfx.Bosh3(), x, stepsize_controller=controller).ys


def unsafe_path_with_adaptive_steps(x: jax.Array) -> Any:
    options = {"stepsize_controller": PID, "adjoint": dfx.DirectAdjoint()}
    return solve_sde(unsafe_path, dfx.Heun(), options, x)


def function_for_a_term(x: jax.Array) -> Any:
    return dfx.diffeqsolve(oscillate, dfx.Tsit5(), 0.0, 1.0, 0.1, x, x).ys


def reverse_through_forward_mode(x: jax.Array) -> Any:
    def end(y: jax.Array) -> Any:
        return jnp.sum(ode(dfx.Heun(), y, adjoint=dfx.ForwardMode()).ys)

    return jax.grad(end)(x)


def forward_through_checkpoints(x: jax.Array) -> Any:
    return jax.jvp(lambda y: ode(dfx.Heun(), y).ys, (x,), (x,))


OTHERS = (
    *(backsolve_adjoint, backsolve_adjoint_at_times, steady_state, event_between_steps),
    *(save_at_times, save_a_function_of_steps, dense_output, tree_state),
    *(complex_state, control_by_a_cubic_path),
)
WITHOUT_GRADIENT = (
    *(implicit_explicit, event_at_a_step, first_of_two_events),
    *(save_several_things, dense_output_of_an_implicit_solver),
    *(go_on_from_a_saved_state, langevin, stop_at_max_steps),
    *(forward_mode, through_direct_adjoint_twice, brownian_path, train_a_neural_ode),
    *(text_progress_meter, tqdm_progress_meter, stop_at_max_steps_and_raise),
    *(stop_at_dtmin_and_raise, unsafe_path_with_adaptive_steps),
    *(function_for_a_term, reverse_through_forward_mode, forward_through_checkpoints),
)

PROGRAMS: dict[str, Program] = {
    **{
        name: Program(functools.partial(solve_ode, *it), X, grad=name in DIFFERENTIATED)
        for name, it in ODES.items()
    },
    **{name: Program(functools.partial(solve_stiff, it), X) for name, it in STIFF.items()},
    **{
        name: Program(functools.partial(solve_sde, *it), X, grad=name in DIFFERENTIATED)
        for name, it in SDES.items()
    },
    **{run.__name__: Program(run, X) for run in OTHERS},
    **{run.__name__: Program(run, X, grad=False) for run in WITHOUT_GRADIENT},
}
