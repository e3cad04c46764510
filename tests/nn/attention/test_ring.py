"""`ring_attention`: parts of a sequence on several devices attend to all of it."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P

from eqx_filter import (
    filter_checkpoint,
    filter_jit,
    filter_shard_map,
    filter_value_and_grad,
    is_array,
)
from eqx_nn import (
    LearnedPositions,
    MultiheadAttention,
    RotaryPositionalEmbedding,
    Stacked,
    TransformerBlock,
    dot_product_attention,
    ring_attention,
)

pytestmark = pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")

KEY = jax.random.key(0)
SPLIT = P("sequence")
LENGTH = 48
SEGMENTS = jnp.arange(LENGTH) // 10

ASKED = {
    "nothing": {},
    "causal": {"is_causal": True},
    "window": {"window": (5, 3)},
    "causal window": {"is_causal": True, "window": (17, 0)},
    "segments": {"segment_ids": SEGMENTS},
    "all": {"is_causal": True, "segment_ids": SEGMENTS, "softcap": 3.0, "scale": 0.7},
}


def mesh(count=4, kind=AxisType.Auto):
    return jax.make_mesh((count,), ("sequence",), axis_types=(kind,))


def drawn(*shape, dtype=jnp.float32, key=0):
    return jax.random.normal(jax.random.key(key), shape, dtype)


def heads(dtype=jnp.float32, kv_heads=4, length=LENGTH):
    sizes = (4, 8), (kv_heads, 8), (kv_heads, 6), (4, 6)
    return [drawn(length, *size, dtype=dtype, key=i) for i, size in enumerate(sizes)]


def ring(devices, segment_ids=None, **options):
    """`ring_attention` of a sequence that is split over some devices."""
    attend = functools.partial(ring_attention, axis="sequence", **options)

    @filter_jit
    def call(q, k, v):
        if segment_ids is None:
            return filter_shard_map(attend, mesh=devices, in_specs=SPLIT, out_specs=SPLIT)(q, k, v)
        of_parts = lambda q, k, v, ids: attend(q, k, v, segment_ids=ids)  # noqa: E731
        split = filter_shard_map(of_parts, mesh=devices, in_specs=SPLIT, out_specs=SPLIT)
        return split(q, k, v, segment_ids)

    return call


def value_and_gradients(attend, q, k, v, cotangent):
    def loss(q, k, v):
        out = attend(q, k, v)
        return jnp.sum(out * cotangent), out

    return jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))(q, k, v)


def close(found, expected, **tolerance):
    tolerance = tolerance or {"rtol": 1e-4, "atol": 2e-5}
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one.astype(float), other.astype(float), **tolerance)


class TestExact:
    @pytest.mark.parametrize("kv_heads", [4, 2])
    @pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
    def test_values_and_gradients_are_those_of_the_whole_sequence(self, asked, kv_heads):
        arrays = heads(kv_heads=kv_heads)
        found = value_and_gradients(ring(mesh(), **asked), *arrays)
        whole = functools.partial(dot_product_attention, implementation="plain", **asked)
        close(found, value_and_gradients(whole, *arrays))

    @pytest.mark.parametrize("asked", [ASKED["causal"], ASKED["all"]], ids=["causal", "all"])
    def test_to_the_last_bits_of_float64(self, asked, x64):
        arrays = heads(jnp.float64, 2)
        found = value_and_gradients(ring(mesh(), **asked), *arrays)
        whole = functools.partial(dot_product_attention, implementation="plain", **asked)
        close(found, value_and_gradients(whole, *arrays), rtol=1e-11, atol=1e-12)

    def test_in_bfloat16_sums_are_of_float32(self):
        arrays = heads(jnp.bfloat16)
        found = value_and_gradients(ring(mesh(), is_causal=True), *arrays)
        wide = [x.astype(jnp.float32) for x in arrays]
        whole = functools.partial(dot_product_attention, is_causal=True)
        expected = value_and_gradients(whole, *wide)
        assert all(it.dtype == jnp.bfloat16 for it in jax.tree.leaves(found))
        found = jax.tree.map(lambda x: x.astype(jnp.float32), found)
        close(found, expected, rtol=0.05, atol=0.05)

    @pytest.mark.parametrize("count", [1, 2])
    def test_on_fewer_devices(self, count):
        arrays = heads()
        whole = functools.partial(dot_product_attention, is_causal=True)
        expected = value_and_gradients(whole, *arrays)
        devices = Mesh(np.array(jax.devices()[:count]), ("sequence",))
        close(value_and_gradients(ring(devices, is_causal=True), *arrays), expected)

    def test_parts_of_several_blocks(self):
        arrays = heads(length=4 * 272)
        whole = functools.partial(dot_product_attention, is_causal=True)
        expected = value_and_gradients(whole, *arrays)
        close(value_and_gradients(ring(mesh(), is_causal=True), *arrays), expected, atol=1e-4)

    def test_matrices_and_other_lengths_of_keys(self):
        q, k, v = drawn(48, 8), drawn(16, 8, key=1), drawn(16, 6, key=2)
        close(ring(mesh())(q, k, v), dot_product_attention(q, k, v))

    @pytest.mark.parametrize("lengths", [(0, 0), (0, 8), (8, 0)])
    def test_sequences_of_nothing(self, lengths):
        q, kv = (drawn(length, 2, 4) for length in lengths)
        found = ring(mesh(), is_causal=lengths[0] == lengths[1])(q, kv, kv)
        assert found.shape == q.shape
        assert not found.any()

    def test_an_explicit_axis(self):
        arrays = heads()
        devices = mesh(kind=AxisType.Explicit)
        split = [jax.device_put(x, jax.NamedSharding(devices, SPLIT)) for x in arrays]
        whole = functools.partial(dot_product_attention, is_causal=True)
        found = value_and_gradients(ring(devices, is_causal=True), *split)
        close(found, value_and_gradients(whole, *arrays))

    def test_a_batch_beside_an_axis_of_batches(self):
        devices = jax.make_mesh((2, 2), ("data", "sequence"), axis_types=(AxisType.Auto,) * 2)
        q, k, v, cotangent = (jnp.stack([x, 2 * x]) for x in heads())
        attend = jax.vmap(functools.partial(ring_attention, axis="sequence", is_causal=True))
        spec = P("data", "sequence")
        split = filter_shard_map(attend, mesh=devices, in_specs=spec, out_specs=spec)
        whole = jax.vmap(functools.partial(dot_product_attention, is_causal=True))
        expected = value_and_gradients(whole, q, k, v, cotangent)
        close(value_and_gradients(split, q, k, v, cotangent), expected)

    def test_heads_that_the_compiler_splits(self):
        devices = jax.make_mesh((2, 2), ("sequence", "model"), axis_types=(AxisType.Auto,) * 2)
        attend = functools.partial(ring_attention, axis="sequence", is_causal=True)
        split = filter_shard_map(
            attend, mesh=devices, in_specs=SPLIT, out_specs=SPLIT, axis_names={"sequence"}
        )
        place = jax.NamedSharding(devices, P("sequence", "model"))
        found = value_and_gradients(split, *(jax.device_put(x, place) for x in heads()))
        whole = functools.partial(dot_product_attention, is_causal=True)
        close(found, value_and_gradients(whole, *heads()))

    def test_second_derivatives(self):
        q, k, v, _ = heads(length=8)

        def along(attend):
            gradient = jax.grad(lambda q: jnp.sum(attend(q, k, v) ** 2))
            return jax.jit(lambda q: jax.jvp(gradient, (q,), (jnp.ones_like(q),))[1])(q)

        whole = functools.partial(dot_product_attention, is_causal=True, implementation="plain")
        close(along(ring(mesh(), is_causal=True)), along(whole), rtol=1e-3, atol=1e-4)


class TestProgram:
    def lowered(self, count, length=2048, **options):
        devices = Mesh(np.array(jax.devices()[:count]), ("sequence",))
        place = jax.NamedSharding(devices, SPLIT)
        struct = jax.ShapeDtypeStruct((length, 2, 16), jnp.float32, sharding=place)
        attend = ring(devices, **options)
        loss = lambda *arrays: jnp.sum(attend(*arrays) ** 2)  # noqa: E731
        return jax.jit(jax.grad(loss, (0, 1, 2))).lower(*[struct] * 3).compile()

    def test_memory_of_a_device_falls_as_devices_grow(self):
        """All that grows with the sequence is split; blocks of scores are of a fixed size."""
        few, many = (self.lowered(count).memory_analysis() for count in (1, 4))
        assert many.argument_size_in_bytes == few.argument_size_in_bytes // 4
        assert many.temp_size_in_bytes < few.temp_size_in_bytes
        grown = self.lowered(4, 2 * 2048).memory_analysis()
        whole = 2048 * 2048 * 4
        assert grown.temp_size_in_bytes - many.temp_size_in_bytes < whole / 4

    def test_no_device_gets_all_keys(self):
        text = self.lowered(4).as_text()
        assert "collective-permute" in text
        assert not re.search("all-gather|all-reduce|all-to-all", text)

    def test_what_nobody_sees_is_not_computed(self):
        """Numbers that none of a device's queries sees are not read, so that NaN stays away."""
        q, k, v, _ = heads()
        bad = k.at[36:].set(jnp.nan), v.at[36:].set(jnp.nan)
        found = ring(mesh(), is_causal=True)(q, *bad)
        close(found[:36], dot_product_attention(q, k, v, is_causal=True)[:36])

    def test_a_stack_keeps_the_result_and_does_not_go_round_again(self):
        def sends(remat):
            def block(key):
                return TransformerBlock(8, 2, is_causal=True, key=key)

            blocks = Stacked(block, 2, remat=remat, key=KEY)
            attend = filter_shard_map(
                lambda blocks, x: blocks(x, axis="sequence"),
                mesh=mesh(), in_specs=(None, SPLIT), out_specs=SPLIT,
            )  # fmt: skip
            loss = lambda x: jnp.sum(attend(blocks, x) ** 2)  # noqa: E731
            text = str(jax.make_jaxpr(jax.grad(loss))(drawn(16, 8)))
            return len(re.findall(r"\bppermute\[", text))

        assert sends("dots") == sends("none") < sends("full")


class TestLayers:
    def test_multihead_attention(self):
        layer = MultiheadAttention(4, 8, num_kv_heads=2, key=KEY)
        x = drawn(16, 8)
        split = filter_shard_map(
            lambda layer, x: layer(x, x, x, is_causal=True, axis="sequence"),
            mesh=mesh(), in_specs=(None, SPLIT), out_specs=SPLIT,
        )  # fmt: skip
        close(filter_jit(split)(layer, x), layer(x, x, x, is_causal=True))

    def test_a_block_turns_by_places_in_the_whole_sequence(self):
        rotary = RotaryPositionalEmbedding(4)
        block = TransformerBlock(8, 2, is_causal=True, rotary=rotary, key=KEY)
        split = filter_shard_map(
            lambda block, x: block(x, axis="sequence"),
            mesh=mesh(), in_specs=(None, SPLIT), out_specs=SPLIT,
        )  # fmt: skip

        def gradients(call):
            loss = filter_value_and_grad(lambda both: jnp.sum(call(*both) ** 2))
            return filter_jit(loss)((block, drawn(16, 8)))

        expected = gradients(lambda block, x: block(x))
        found = gradients(split)
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            if is_array(other):
                np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)

    def test_positions_of_a_part(self):
        positions = LearnedPositions(16, 8, key=KEY)
        split = filter_shard_map(
            lambda x: positions(x, offset=jax.lax.axis_index("sequence") * 4),
            mesh=mesh(), in_specs=SPLIT, out_specs=SPLIT,
        )  # fmt: skip
        close(split(drawn(16, 8)), positions(drawn(16, 8)))

    def test_a_checkpoint_of_it(self):
        q, k, v, _ = heads()
        attend = ring(mesh(), is_causal=True)
        gradient = jax.jit(jax.grad(lambda q, f: jnp.sum(f(q, k, v) ** 2)), static_argnums=1)
        close(gradient(q, filter_checkpoint(attend)), gradient(q, attend))


class TestRefusals:
    def test_outside_of_a_mesh(self):
        q, k, v, _ = heads()
        told = "sequences are split over `sequence`, an axis that is not there.*`filter_shard_map`"
        with pytest.raises(ValueError, match=f"`ring_attention` was told that {told}"):
            ring_attention(q, k, v, axis="sequence")
        block = TransformerBlock(8, 2, rotary=RotaryPositionalEmbedding(4), key=KEY)
        with pytest.raises(ValueError, match=f"`TransformerBlock` was told that {told}"):
            block(drawn(4, 8), axis="sequence")

    def test_parts_of_unequal_length(self):
        q, k, v, _ = heads()
        with pytest.raises(ValueError, match=r"parts of equal length.*12 queries and 6 keys"):
            ring(mesh(), is_causal=True)(q, k[:24], v[:24])

    def test_shapes(self):
        q, k, v, _ = heads()
        with pytest.raises(ValueError, match="`ring_attention` expects as many heads"):
            ring(mesh())(q, k[:, :3], v[:, :3])
        with pytest.raises(ValueError, match="as `segment_ids` a number for each place"):
            ring(mesh(), segment_ids=jnp.zeros((LENGTH, 2), int))(q, k, v)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("mask", jnp.ones((4, 4), bool)),
            ("bias", jnp.ones((4, 4))),
            ("length", 3),
            ("offset", 3),
            ("implementation", "plain"),
        ],
    )
    def test_what_no_device_can_be_asked_for(self, name, value):
        layer = MultiheadAttention(2, 8, key=KEY)
        split = filter_shard_map(
            lambda x: layer(x, x, x, axis="sequence", **{name: value}),
            mesh=mesh(), in_specs=SPLIT, out_specs=SPLIT,
        )  # fmt: skip
        told = f"`MultiheadAttention` takes no `{name}` where sequences are split over `sequence`"
        with pytest.raises(ValueError, match=told):
            split(drawn(16, 8))

    def test_dropout_and_caches(self):
        layer = MultiheadAttention(2, 8, dropout_p=0.5, key=KEY)
        x, cache = drawn(16, 8), layer.init_cache(16)
        split = functools.partial(
            filter_shard_map, mesh=mesh(), in_specs=SPLIT, out_specs=SPLIT
        )  # fmt: skip
        with pytest.raises(ValueError, match="takes no `dropout` where"):
            split(lambda x: layer(x, x, x, axis="sequence", key=KEY))(x)
        with pytest.raises(ValueError, match="takes no `cache` where"):
            split(lambda x: layer(x, x, x, axis="sequence", cache=cache, inference=True)[0])(x)
        told = split(lambda x: layer(x, x, x, axis="sequence", inference=True))
        assert filter_jit(told)(x).shape == (16, 8)
