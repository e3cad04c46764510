"""Tokens from a model that tells which may come next: greedy, temperature, top-k, top-p, stopping.

A model of any kind serves that can be written as a step, `step(cache, tokens) -> (logits, cache)`:

- `cache` is any PyTree, what the model keeps of the tokens so far;
- `tokens`, int32 of shape (n,), are those that come now: the prompt at once, and then one by one;
- `logits`, of shape (vocabulary,), are those of the token after the last of them.

`train_text.py` and `import_gpt.py` have one each.
"""

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr

import equinox as eqx

Step = Callable[[Any, jax.Array], tuple[jax.Array, Any]]


def generate(
    step: Step,
    cache: Any,
    prompt: Any,
    key: jax.Array | None = None,
    *,
    length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: int | None = None,
) -> jax.Array:
    """Give `length` tokens that follow a prompt, int32 of shape (length,), in one compiled loop.

    **Arguments:**

    - `step`: as above. A Module, or a method of one, is compiled once for all its weights; a new
        lambda is compiled anew.
    - `cache`: without tokens yet; it needs room for the prompt and `length - 1` more.
    - `prompt`: integers of shape (n,), at least one.
    - `key`: a PRNG key; not needed with `temperature=0`. Token `i` is drawn with `fold_in(key, i)`.
    - `temperature`, `top_k`, `top_p`: of `choose`.
    - `stop`: the token after which the loop ends; the rest of the result is filled with it.

    For a batch, `jax.vmap` over caches, prompts of one length, and keys.

    **Raises:** `ValueError` for an argument that is not as above, and for logits of another shape.
    """
    _check_rule(temperature, top_k, top_p)
    _check_numbers(length, stop)
    prompt = jnp.asarray(prompt)
    if prompt.ndim != 1 or not prompt.size or not jnp.issubdtype(prompt.dtype, jnp.integer):
        message = (
            "`prompt` must be integers of shape (n,), at least one; got shape "
            f"{prompt.shape} of {prompt.dtype}. Begin with a token that begins texts."
        )
        raise ValueError(message)
    rule = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    numbers = [rule, length, stop]  # of NumPy too, which would be traced
    rule, length, stop = jax.tree.map(lambda x: x.item() if hasattr(x, "item") else x, numbers)
    return _generated(step, cache, prompt.astype(jnp.int32), key, rule, length, stop)


@eqx.filter_jit
def _generated(
    step: Step, cache: Any, prompt: Any, key: Any, rule: Any, length: int, stop: int | None
) -> jax.Array:
    def chosen(logits: jax.Array, i: Any) -> jax.Array:
        return choose(logits, None if key is None else jr.fold_in(key, i), **rule)

    logits, cache = step(cache, prompt)
    _check_logits("step", logits)
    if stop is not None and not 0 <= stop < logits.size:
        message = f"`stop` must be one of the {logits.size} tokens, from 0 on; got {stop}."
        raise ValueError(message)
    tokens = jnp.full(length, 0 if stop is None else stop, jnp.int32)
    tokens = tokens.at[0].set(chosen(logits, 0))

    def goes_on(carry: Any) -> Any:
        i, tokens, _ = carry
        return (i < length) & (stop is None or tokens[i - 1] != stop)

    def one_more(carry: Any) -> Any:
        i, tokens, cache = carry
        logits, cache = step(cache, tokens[i - 1][None])
        return i + 1, tokens.at[i].set(chosen(logits, i)), cache

    return eqx.filter_while_loop(goes_on, one_more, (jnp.asarray(1), tokens, cache))[1]


def choose(
    logits: jax.Array,
    key: jax.Array | None,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> jax.Array:
    """Draw a token by its logits, int32 of shape ().

    **Arguments:**

    - `logits`: of shape (vocabulary,); they are taken as float32 at least.
    - `key`: a PRNG key; not used with `temperature=0`.
    - `temperature`: what the logits are divided by. At 0 the token is the most likely one.
    - `top_k`, `top_p`: of `truncate`, after the division; None for all tokens.

    The numbers are known when this is compiled. **Raises** `ValueError` for others, for logits of
    another shape, or complex ones, and if a `key` is needed and not given.
    """
    _check_rule(temperature, top_k, top_p)
    _check_logits("choose", logits)
    if temperature == 0:
        return logits.argmax().astype(jnp.int32)
    if key is None:
        message = "A token is drawn by a `key`. Pass one, or `temperature=0`."
        raise ValueError(message)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    least = float(jnp.finfo(logits.dtype).tiny)
    logits = (logits - logits.max()) / max(temperature, least)
    return jr.categorical(key, truncate(logits, top_k, top_p)).astype(jnp.int32)


def truncate(logits: jax.Array, top_k: int | None = None, top_p: float | None = None) -> jax.Array:
    """Give the logits of the likely tokens as they are, and -inf for the others.

    **Arguments:**

    - `logits`: of shape (vocabulary,).
    - `top_k`: how many tokens are kept at most; of equal ones the first. Fan, Lewis & Dauphin
        (2018, "Hierarchical Neural Story Generation").
    - `top_p`: the most likely tokens are kept until their chances add up to it, of those that
        `top_k` leaves, and so always one. Holtzman et al. (2020, "The Curious Case of Neural Text
        Degeneration"), section 3.1.
    """
    if top_k is None and top_p is None:
        return logits
    order = jnp.argsort(-logits)
    falling, rank = logits[order], jnp.arange(logits.size)
    kept = rank < (logits.size if top_k is None else top_k)
    if top_p is not None:
        chances = jax.nn.softmax(jnp.where(kept, falling, -jnp.inf))
        kept &= jnp.cumsum(chances) - chances < top_p
    return jnp.where(jnp.zeros_like(kept).at[order].set(kept), logits, -jnp.inf)


def _is_number(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _check_rule(temperature: Any, top_k: Any, top_p: Any) -> None:
    problem = None
    if not (_is_number(temperature, Real) and 0 <= temperature < math.inf):
        problem = f"`temperature` must be a finite number, 0 or more; got {temperature!r}"
    elif top_k is not None and not (_is_number(top_k, Integral) and top_k >= 1):
        problem = f"`top_k` must be an integer, 1 or more, or None for all tokens; got {top_k!r}"
    elif top_p is not None and not (_is_number(top_p, Real) and 0 < top_p <= 1):
        problem = f"`top_p` must be a number above 0 up to 1, or None for all; got {top_p!r}"
    if problem:
        message = f"{problem}. It is known when the loop is compiled, so it is no array."
        raise ValueError(message)


def _check_numbers(length: Any, stop: Any) -> None:
    if not (_is_number(length, Integral) and length >= 1):
        message = f"`length` must be an integer, 1 or more; got {length!r}."
        raise ValueError(message)
    if stop is not None and not _is_number(stop, Integral):
        message = f"`stop` must be one token, an integer, or None; got {stop!r}."
        raise ValueError(message)


def _check_logits(name: str, logits: jax.Array) -> None:
    if logits.ndim != 1 or not logits.size or jnp.iscomplexobj(logits):
        gives = "gives" if name == "step" else "takes"
        message = (
            f"`{name}` {gives} the logits of one token, real numbers of shape (vocabulary,); got "
            f"shape {logits.shape} of {logits.dtype}. Of logits of all tokens take the last, "
            "`logits[-1]`."
        )
        raise ValueError(message)
