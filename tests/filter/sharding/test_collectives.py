"""What `ShardingPlan.check` tells of goes between devices as often as a step sends it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from eqx_filter import ShardingPlan, data_parallel
from eqx_filter.sharding._collectives import collectives_of

TEXT = """HloModule jit_step, entry_computation_layout={(f32[4]{0})->f32[4]{0}}

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}

%inner (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %sent = bf16[2,4]{1,0} collective-permute(%x), source_target_pairs={{0,1}}
}

%branch (p: f32[4]) -> f32[4] {
  %all = (f32[4]{0}, s32[2]{0}) all-reduce(%x, %y), to_apply=%add
}

%outer (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %loop = (s32[], f32[4]) while(%t), condition=%cond, body=%inner, BACKEND{"n":"3"}}
}

%unknown (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %begun = (f32[4]{0}, f32[8]{0}) all-gather-start(%x), dimensions={0}
  %ended = f32[8]{0} all-gather-done(%begun)
}

%wrapped (p: f32[8]) -> f32[2] {
  ROOT %part = f32[2]{0} reduce-scatter(%p), to_apply=%add
}

ENTRY %main (x: f32[4]) -> f32[4] {
  %one = (s32[], f32[4]) while(%t), condition=%cond, body=%outer, BACKEND{"n":"5"}}
  %two = (s32[], f32[4]) while(%t), condition=%cond, body=%unknown
  %three = f32[4] conditional(%i, %x, %x), branch_computations={%branch, %add}
  %four = ((f32[8]), f32[2]) async-start(%x), calls=%wrapped
  %five = f32[2] async-done(%four), calls=%wrapped
}
""".replace("BACKEND", 'backend_config={"known_trip_count":')


def test_loops_branches_and_what_is_begun():
    assert collectives_of(TEXT) == {
        "collective-permute": (15, 15 * 16),
        "all-gather": (1, 32),
        "all-reduce": (1, 24),
        "reduce-scatter": (1, 8),
    }


def test_a_program_without_any():
    assert collectives_of("") == {}
    assert collectives_of(jax.jit(jnp.sin).lower(1.0).compile().as_text()) == {}


@pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")
@pytest.mark.skipif(not hasattr(jax, "shard_map"), reason="this JAX has another name for it")
def test_a_loop_within_a_loop():
    mesh = Mesh(np.array(jax.devices()[:4]), ("data",))

    def rounds(x):
        def send(x):
            return jax.lax.ppermute(x, "data", [(i, (i + 1) % 4) for i in range(4)])

        def once(x, _):
            return (send(jnp.sin(x)), None)

        def several(x, _):
            return (jax.lax.scan(once, x, length=5)[0] + 1, None)

        return jax.lax.scan(several, x, length=7)[0]

    split = jax.shard_map(rounds, mesh=mesh, in_specs=P("data"), out_specs=P("data"))
    plan = ShardingPlan([data_parallel()], mesh)
    told = plan.check(split, plan.batch(jax.ShapeDtypeStruct((8, 3), jnp.float32)))
    assert told.collectives == {"collective-permute": (35, 35 * 2 * 3 * 4)}
