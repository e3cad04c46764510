"""Layers that PyTorch has too: how both are built, and the shapes of the inputs.

Every parameter and every input is a fixed wave, of its shape and its name alone, so that only what
comes out need be kept.
"""

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from eqx_nn import dot_product_attention, inference_mode, make_with_state
from eqx_pytree import Module

from .images import images
from .sequences import sequences

KEY = jax.random.PRNGKey(0)


class Case(NamedTuple):
    """`theirs(torch.nn)` and `ours(eqx_nn)` build the layer, `shapes` are those of the inputs."""

    theirs: Callable[[Any], Any]
    ours: Callable[[Any], Any]
    shapes: tuple[tuple[int, ...], ...]
    call_theirs: Callable[..., Any] = lambda module, *xs: module(*xs)
    call_ours: Callable[..., Any] = lambda model, *xs: model(*xs)
    dtype: str = "float"


def wave(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values between -1 and 1 that differ from name to name; far from each other, for maxima."""
    start = zlib.crc32(name.encode()) % 1000
    size = int(np.prod(shape))
    return np.sin(start + 1.7 * np.arange(size)).reshape(shape)


def entry(name: str, shape: tuple[int, ...], dtype: str = "float64") -> np.ndarray:
    """The value of a parameter or a buffer."""
    if name.endswith("num_batches_tracked"):
        return np.array(3)
    if name.endswith(("running_var", "original0")):
        return 1.5 + wave(name, shape) / 2
    if name.endswith(("_u", "_v")):
        vector = 1.5 + wave(name, shape)
        return vector / np.linalg.norm(vector)
    return wave(name, shape)


def inputs(case: Case) -> list[np.ndarray]:
    if case.dtype == "int":
        return [np.arange(int(np.prod(shape))).reshape(shape) % 3 for shape in case.shapes]
    return [wave(f"input {i}", shape) for i, shape in enumerate(case.shapes)]


def batched(module: Any, *xs: Any) -> Any:
    """Call a module that wants a batch with one of one example."""
    return module(*(x[None] for x in xs))[0]


def like(name: str, args: tuple[Any, ...], shape: tuple[int, ...], **kwargs: Any) -> Case:
    """A layer that is built with the same arguments in both."""

    def theirs(nn: Any) -> Any:
        options = {k: v.lower() if isinstance(v, str) else v for k, v in kwargs.items()}
        options = {"bias" if k == "use_bias" else k: v for k, v in options.items()}
        options = {"ceil_mode" if k == "use_ceil" else k: v for k, v in options.items()}
        return getattr(nn, name)(*args, **options)

    def ours(nn: Any) -> Any:
        keyed = {} if "Pool" in name else {"key": KEY}
        return getattr(nn, name)(*args, **kwargs, **keyed)

    return Case(theirs, ours, (shape,))


SPACE = {1: (9,), 2: (7, 6), 3: (5, 4, 5)}


CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "": {},
    "stride": {"stride": 2},
    "padding": {"padding": 1},
    "dilation": {"dilation": 2, "padding": 2},
    "groups": {"groups": 2},
    "no bias": {"use_bias": False},
}
TRANSPOSED: dict[str, dict[str, Any]] = {
    "": {},
    "stride": {"stride": 2},
    "padding": {"stride": 2, "padding": 1},
    "output padding": {"stride": 2, "output_padding": 1},
    "dilation": {"dilation": 2},
    "groups": {"groups": 2, "stride": 2},
    "no bias": {"use_bias": False},
}
POOLS: dict[str, dict[str, Any]] = {
    "": {"stride": 1},
    "stride": {"stride": 2},
    "padding": {"stride": 2, "padding": 1},
    "ceil": {"stride": 2, "use_ceil": True},
}


def convolutions() -> dict[str, Case]:
    cases = {}
    for rank, space in SPACE.items():
        name = f"Conv{rank}d"
        for label, options in CONVOLUTIONS.items():
            cases[f"{name} {label}"] = like(name, (4, 6, 3), (4, *space), **options)
        name, small = f"ConvTranspose{rank}d", tuple(size // 2 + 1 for size in space)
        for label, options in TRANSPOSED.items():
            cases[f"{name} {label}"] = like(name, (4, 6, 3), (4, *small), **options)
    for mode in ("REFLECT", "REPLICATE", "CIRCULAR"):
        for rank in (1, 2):
            cases[f"Conv{rank}d {mode.lower()}"] = like(
                f"Conv{rank}d", (2, 3, 3), (2, *SPACE[rank]), padding=1, padding_mode=mode
            )
    cases["Conv2d same"] = like("Conv2d", (2, 3, (3, 5)), (2, 7, 6), padding="SAME")
    cases["Conv2d uneven"] = like(
        "Conv2d", (2, 3, (3, 2)), (2, 7, 6), stride=(2, 1), padding=(1, 0), dilation=(1, 2)
    )
    return cases


def pools() -> dict[str, Case]:
    cases = {}
    for rank, space in SPACE.items():
        for kind in ("Max", "Avg"):
            name = f"{kind}Pool{rank}d"
            for label, options in POOLS.items():
                if kind == "Max" or label != "ceil":  # averages divide the last by other sizes
                    cases[f"{name} {label}"] = like(name, (3,), (2, *space), **options)
            target = tuple(size // 2 if size % 2 == 0 else 1 for size in space)
            target = target[0] if rank == 1 else target
            cases[f"Adaptive{name}"] = like(f"Adaptive{name}", (target,), (2, *space))
    return cases


def stateful(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda nn: make_with_state(lambda: make(nn))()


def norm(rank: int, mode: str) -> dict[str, Case]:
    """Batch norm in training and at inference; PyTorch's momentum is what is moved."""
    shape = (4, 3, 5, 2)[: rank + 1] if rank > 1 else (4, 3)
    name = f"BatchNorm{max(rank - 1, 1)}d"

    def theirs(nn: Any) -> Any:
        return getattr(nn, name)(3, momentum=0.1)

    make = stateful(lambda nn: nn.BatchNorm(3, "batch", momentum=0.9, mode=mode))

    def call(pair: Any, x: Any) -> Any:
        layer, state = pair
        mapped = jax.vmap(layer, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
        return mapped(x, state)[0]

    cases = {
        f"{name} {mode} at inference": Case(
            lambda nn: theirs(nn).eval(),
            lambda nn: inference_mode(make(nn)),
            (shape,),
            call_ours=call,
        )
    }
    if mode == "batch":
        cases[f"{name} in training"] = Case(theirs, make, (shape,), call_ours=call)
    return cases


def norms() -> dict[str, Case]:
    cases = {
        "LayerNorm": Case(lambda nn: nn.LayerNorm(6), lambda nn: nn.LayerNorm(6), ((6,),)),
        "LayerNorm of a square": Case(
            lambda nn: nn.LayerNorm((2, 3)), lambda nn: nn.LayerNorm((2, 3)), ((2, 3),)
        ),
        "LayerNorm without bias": Case(
            lambda nn: nn.LayerNorm(6, bias=False),
            lambda nn: nn.LayerNorm(6, use_bias=False),
            ((6,),),
        ),
        "RMSNorm": Case(
            lambda nn: nn.RMSNorm(6, eps=1e-5), lambda nn: nn.RMSNorm(6, use_bias=False), ((6,),)
        ),
        "GroupNorm": Case(
            lambda nn: nn.GroupNorm(2, 4), lambda nn: nn.GroupNorm(2, 4), ((4, 3, 2),), batched
        ),
        "GroupNorm without affine": Case(
            lambda nn: nn.GroupNorm(2, 4, affine=False),
            lambda nn: nn.GroupNorm(2, 4, channelwise_affine=False),
            ((4, 3),),
            batched,
        ),
    }
    for rank in (1, 2, 3):
        for mode in ("ema", "batch"):
            cases |= norm(rank, mode)
    return cases


def parametrized(nn: Any, kind: str, module: Any, **options: Any) -> Any:
    return getattr(nn.utils.parametrizations, kind)(module, **options).eval()


def wrapped() -> dict[str, Case]:
    spectral = stateful(
        lambda nn: nn.SpectralNorm(nn.Linear(4, 3, key=KEY), "weight", inference=True, key=KEY)
    )
    return {
        "SpectralNorm": Case(
            lambda nn: parametrized(nn, "spectral_norm", nn.Linear(4, 3)),
            spectral,
            ((4,),),
            call_ours=lambda pair, x: pair[0](x, pair[1])[0],
        ),
        "WeightNorm": Case(
            lambda nn: parametrized(nn, "weight_norm", nn.Linear(4, 3)),
            lambda nn: nn.WeightNorm(nn.Linear(4, 3, key=KEY)),
            ((4,),),
        ),
        "WeightNorm of a convolution": Case(
            lambda nn: parametrized(nn, "weight_norm", nn.Conv2d(2, 3, 3)),
            lambda nn: nn.WeightNorm(nn.Conv2d(2, 3, 3, key=KEY)),
            ((2, 5, 4),),
        ),
    }


def over_sequence(cell: Any, xs: Any) -> Any:
    """The hidden states of a cell along a sequence, as `torch.nn.GRU` and `LSTM` give them."""
    zeros = jnp.zeros(cell.hidden_size, xs.dtype)
    is_gru = type(cell).__name__ == "GRUCell"

    def step(state: Any, x: Any) -> Any:
        state = cell(x, state)
        return state, state if is_gru else state[0]

    return jax.lax.scan(step, zeros if is_gru else (zeros, zeros), xs)[1]


def cells() -> dict[str, Case]:
    cases = {}
    for bias in (True, False):
        label = "" if bias else " without bias"
        for name in ("GRU", "LSTM"):
            states = ((3,), (3,)) if name == "LSTM" else ((3,),)
            pair = name == "LSTM"
            cases[f"{name}Cell{label}"] = Case(
                lambda nn, name=name, bias=bias: getattr(nn, f"{name}Cell")(4, 3, bias=bias),
                lambda nn, name=name, bias=bias: getattr(nn, f"{name}Cell")(4, 3, bias, key=KEY),
                ((4,), *states),
                *([lambda cell, x, h, c: cell(x, (h, c))] * 2 if pair else []),
            )
            cases[f"{name}{label}"] = Case(
                lambda nn, name=name, bias=bias: getattr(nn, name)(4, 3, bias=bias),
                lambda nn, name=name, bias=bias: getattr(nn, f"{name}Cell")(4, 3, bias, key=KEY),
                ((5, 4),),
                lambda module, xs: module(xs)[0],
                over_sequence,
            )
    return cases


def attention(bias: bool, sizes: tuple[int, int] | None, mask: bool) -> Case:
    """Self-sized attention of two heads, or with other sizes for keys and values."""
    key_size, value_size = sizes or (4, 4)

    def theirs(nn: Any) -> Any:
        return nn.MultiheadAttention(4, 2, bias=bias, kdim=key_size, vdim=value_size)

    def ours(nn: Any) -> Any:
        biases = {f"use_{name}_bias": bias for name in ("query", "key", "value", "output")}
        return nn.MultiheadAttention(
            2, 4, key_size=key_size, value_size=value_size, **biases, key=KEY
        )

    allowed = np.tri(3, 5, 1, dtype=bool)

    def call_theirs(module: Any, q: Any, k: Any, v: Any) -> Any:
        forbidden = q.new_tensor(~allowed).bool() if mask else None
        return module(q, k, v, attn_mask=forbidden)[0]

    def call_ours(model: Any, q: Any, k: Any, v: Any) -> Any:
        return model(q, k, v, allowed if mask else None)

    shapes = ((3, 4), (5, key_size), (5, value_size))
    return Case(theirs, ours, shapes, call_theirs, call_ours)


def transformer(*, has_context: bool, norm_first: bool, is_causal: bool) -> Case:
    """A block of an encoder, or of a decoder, without dropout."""

    def theirs(nn: Any) -> Any:
        kind = nn.TransformerDecoderLayer if has_context else nn.TransformerEncoderLayer
        return kind(4, 2, 6, dropout=0.0, norm_first=norm_first, activation="relu")

    def ours(nn: Any) -> Any:
        context = {"context_size": 4} if has_context else {}
        options = {"norm_first": norm_first, "is_causal": is_causal, "activation": jax.nn.relu}
        return nn.TransformerBlock(4, 2, width_size=6, **context, **options, key=KEY)

    def call_theirs(module: Any, x: Any, *context: Any) -> Any:
        mask = x.new_tensor(~np.tri(3, dtype=bool)).bool() if is_causal else None
        return module(x, *context, **{"tgt_mask" if has_context else "src_mask": mask})

    shapes = ((3, 4), (5, 4)) if has_context else ((3, 4),)
    return Case(theirs, ours, shapes, call_theirs)


def scaled_dot_product(**options: Any) -> Case:
    """The function, on arrays with heads; PyTorch has them first."""

    def theirs(nn: Any) -> Any:
        return nn.Identity()

    def call_theirs(module: Any, q: Any, k: Any, v: Any) -> Any:
        grouped = {"enable_gqa": True} if q.shape[1] != k.shape[1] else {}
        import torch

        attend = torch.nn.functional.scaled_dot_product_attention
        heads_first = [x.transpose(0, 1)[None] for x in (q, k, v)]
        return attend(*heads_first, **options, **grouped)[0].transpose(0, 1)

    def call_ours(_: Any, q: Any, k: Any, v: Any) -> Any:
        return dot_product_attention(q, k, v, implementation="blockwise", **options)

    return Case(
        theirs, lambda nn: nn.Identity(), ((3, 4, 2), (5, 2, 2), (5, 2, 3)), call_theirs, call_ours
    )


class Net(Module):
    """Convolution, norm, activation, a list and a dict of layers."""

    conv: Any
    norm: Any
    act: Any
    heads: list
    by_name: dict

    def __init__(self, nn: Any) -> None:
        self.conv = nn.Conv2d(1, 2, 3, padding=1, key=KEY)
        self.norm = nn.GroupNorm(1, 2)
        self.act = nn.PReLU(0.1)
        self.heads = [nn.Linear(24, 3, key=KEY), nn.Linear(24, 2, key=KEY)]
        self.by_name = {"last": nn.MLP(5, 2, 4, 2, jnp.tanh, key=KEY)}

    def __call__(self, x: Any) -> Any:
        x = self.act(self.norm(self.conv(x))).ravel()
        x = jnp.concatenate([head(x) for head in self.heads])
        return self.by_name["last"](x)


def their_net(nn: Any) -> Any:
    import torch

    class Perceptron(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(5, 4), nn.Linear(4, 4), nn.Linear(4, 2)])

        def forward(self, x: Any) -> Any:
            for layer in self.layers[:-1]:
                x = torch.tanh(layer(x))
            return self.layers[-1](x)

    class TheirNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3, padding=1)
            self.norm = nn.GroupNorm(1, 2)
            self.act = nn.PReLU()
            self.heads = nn.ModuleList([nn.Linear(24, 3), nn.Linear(24, 2)])
            self.by_name = nn.ModuleDict({"last": Perceptron()})

        def forward(self, x: Any) -> Any:
            x = self.act(self.norm(self.conv(x)[None]))[0].ravel()
            return self.by_name["last"](torch.cat([head(x) for head in self.heads]))

    return TheirNet()


def compositions() -> dict[str, Case]:
    return {
        "Sequential": Case(
            lambda nn: nn.Sequential(
                nn.Conv1d(2, 3, 3), nn.ReLU(), nn.MaxPool1d(2, 2), nn.Flatten(0), nn.Linear(9, 2)
            ),
            lambda nn: nn.Sequential(
                [
                    nn.Conv1d(2, 3, 3, key=KEY),
                    nn.Lambda(jax.nn.relu),
                    nn.MaxPool1d(2, 2),
                    nn.Lambda(jnp.ravel),
                    nn.Linear(9, 2, key=KEY),
                ]
            ),
            ((2, 8),),
        ),
        "a net": Case(their_net, Net, ((1, 4, 3),)),
    }


CASES: dict[str, Case] = {
    "Linear": like("Linear", (4, 3), (4,)),
    "Linear without bias": like("Linear", (4, 3), (4,), use_bias=False),
    "Embedding": Case(
        lambda nn: nn.Embedding(3, 4), lambda nn: nn.Embedding(3, 4, key=KEY), ((),), dtype="int"
    ),
    "PReLU": Case(lambda nn: nn.PReLU(), lambda nn: nn.PReLU(), ((6,),)),
    "MultiheadAttention": attention(bias=False, sizes=None, mask=False),
    "MultiheadAttention with biases": attention(bias=True, sizes=None, mask=False),
    "MultiheadAttention with a mask": attention(bias=True, sizes=None, mask=True),
    "MultiheadAttention of other sizes": attention(bias=True, sizes=(3, 6), mask=False),
    "TransformerEncoderLayer": transformer(has_context=False, norm_first=False, is_causal=False),
    "TransformerEncoderLayer, norm first, causal": transformer(
        has_context=False, norm_first=True, is_causal=True
    ),
    "TransformerDecoderLayer": transformer(has_context=True, norm_first=False, is_causal=True),
    "TransformerDecoderLayer, norm first": transformer(
        has_context=True, norm_first=True, is_causal=True
    ),
    "scaled_dot_product_attention": scaled_dot_product(),
    "scaled_dot_product_attention, causal": scaled_dot_product(is_causal=True),
    "scaled_dot_product_attention, scaled": scaled_dot_product(scale=0.3),
    **convolutions(),
    **pools(),
    **norms(),
    **wrapped(),
    **cells(),
    **compositions(),
    **{name: Case(*it) for name, it in sequences().items()},
    **{
        name: Case(it.theirs, it.ours, (it.shape,), call_theirs=batched)
        for name, it in images().items()
    },
}
