"""Sampling beside NumPy: each rule alone, and the loop beside one without a cache."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import equinox as eqx
from equinox import nn

SIZE = 8
EPS = float(np.finfo(np.float32).eps)
LOGITS = np.array([0.5, 2.0, -1.0, 1.0, 3.0, 0.0, -2.0, 2.5], np.float32)
DRAWS = 4000

numbers = st.floats(-20, 20, width=32, allow_subnormal=False)  # which XLA takes as zeros
few_logits = hnp.arrays(np.float32, SIZE, elements=numbers)


@pytest.fixture(scope="module")
def sampling(load):
    return load("sampling")


@pytest.fixture(scope="module")
def language_model(load):
    return load("language_model")


class Table(eqx.Module):
    """Tells by the last token alone what comes next, and counts the tokens that it is shown."""

    weight: jax.Array

    def __call__(self, count, tokens):
        return self.weight[tokens[-1]], count + tokens.size


@pytest.fixture(scope="module")
def table():
    return Table(3 * jr.normal(jr.key(1), (SIZE, SIZE)))


def softmax(logits):
    chances = np.exp(logits.astype(np.float64) - logits.max())
    return chances / chances.sum()


def frequencies(sampling, **rule):
    """How often each token is drawn by a rule."""
    draw = jax.jit(jax.vmap(lambda key: sampling.choose(jnp.asarray(LOGITS), key, **rule)))
    drawn = np.asarray(draw(jr.split(jr.key(0), DRAWS)))
    return np.bincount(drawn, minlength=SIZE) / DRAWS


def assert_drawn_by(found, chances):
    """Hold frequencies to five standard deviations of the binomial distribution."""
    assert (np.abs(found - chances) <= 5 * np.sqrt(chances * (1 - chances) / DRAWS)).all()


class TestChoose:
    @pytest.mark.parametrize("temperature", [1, 0.5, 4.0])
    def test_temperature_divides(self, sampling, temperature):
        found = frequencies(sampling, temperature=temperature)
        assert_drawn_by(found, softmax(LOGITS / temperature))

    def test_temperature_is_applied_before_the_cuts(self, sampling):
        rule = {"temperature": 2.0, "top_k": 4, "top_p": 0.7}
        hot = LOGITS / 2
        likely = np.argsort(-hot)[:4]
        chances = softmax(hot[likely])
        kept = likely[np.cumsum(chances) - chances < 0.7]
        expected = np.zeros(SIZE)
        expected[kept] = softmax(hot[kept])
        assert len(kept) == 3
        assert_drawn_by(frequencies(sampling, **rule), expected)

    @pytest.mark.parametrize("temperature", [0, 0.0, np.float32(0), 1e-3, 5e-324])
    def test_no_temperature_is_greedy(self, sampling, temperature):
        key = None if temperature == 0 else jr.key(0)
        token = sampling.choose(jnp.asarray(LOGITS), key, temperature=temperature, top_p=1)
        assert token == LOGITS.argmax()
        assert token.dtype == jnp.int32

    @pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
    def test_halves_are_drawn_as_float32(self, sampling, dtype):
        logits, rule = jnp.asarray(LOGITS, dtype), {"temperature": 0.7, "top_p": 0.9}
        keys = jr.split(jr.key(2), 20)
        draw = jax.jit(jax.vmap(lambda key, x: sampling.choose(x, key, **rule), (0, None)))
        np.testing.assert_array_equal(draw(keys, logits), draw(keys, logits.astype(jnp.float32)))

    @pytest.mark.parametrize(
        ("rule", "told"),
        [
            ({"temperature": -1.0}, "`temperature` must be a finite number, 0 or more; got -1.0"),
            ({"temperature": float("inf")}, "`temperature` must be a finite number"),
            ({"temperature": float("nan")}, "`temperature` must be a finite number"),
            ({"temperature": jnp.ones(())}, "It is known when the loop is compiled, so it is no"),
            ({"top_k": 0}, "`top_k` must be an integer, 1 or more, or None for all tokens; got 0"),
            ({"top_k": 2.0}, "`top_k` must be an integer"),
            ({"top_k": True}, "`top_k` must be an integer"),
            ({"top_p": 0}, "`top_p` must be a number above 0 up to 1, or None for all; got 0"),
            ({"top_p": 1.5}, "`top_p` must be a number"),
        ],
    )
    def test_another_rule_is_refused(self, sampling, rule, told):
        with pytest.raises(ValueError, match=told):
            sampling.choose(jnp.asarray(LOGITS), jr.key(0), **rule)

    @pytest.mark.parametrize(
        ("logits", "told"),
        [
            (jnp.ones((2, 3)), r"`choose` takes the logits of one token, .*; got shape \(2, 3\)"),
            (jnp.ones(0), r"got shape \(0,\) of float32. Of logits of all tokens take the last"),
            (jnp.ones(3, complex), "got shape .* of complex64"),
        ],
    )
    def test_other_logits_are_refused(self, sampling, logits, told):
        with pytest.raises(ValueError, match=told):
            sampling.choose(logits, jr.key(0))


class TestTruncate:
    @settings(max_examples=40)
    @given(few_logits, st.integers(1, SIZE + 2))
    def test_top_k_keeps_the_k_greatest(self, sampling, logits, k):
        found = np.asarray(sampling.truncate(jnp.asarray(logits), k))
        kept = np.isfinite(found)
        assert set(np.flatnonzero(kept)) == set(np.argsort(-logits, kind="stable")[:k])
        np.testing.assert_array_equal(found[kept], logits[kept])

    @settings(max_examples=40)
    @given(few_logits, st.floats(0.01, 1))
    def test_top_p_keeps_the_fewest_that_reach_p(self, sampling, logits, p):
        found = np.asarray(sampling.truncate(jnp.asarray(logits), None, p))
        kept, chances = np.isfinite(found), softmax(logits)
        tolerance = 4 * SIZE * EPS
        assert chances[kept].min() >= chances[~kept].max(initial=0)
        assert chances[kept].sum() >= p - tolerance
        assert chances[kept].sum() - chances[kept].min() < p + tolerance
        np.testing.assert_array_equal(found[kept], logits[kept])

    @settings(max_examples=40)
    @given(few_logits)
    def test_top_p_keeps_one_at_least(self, sampling, logits):
        found = np.asarray(sampling.truncate(jnp.asarray(logits), None, 1e-30))
        assert np.flatnonzero(np.isfinite(found)).tolist() == [logits.argmax()]

    @settings(max_examples=40)
    @given(few_logits, st.integers(1, SIZE), st.floats(0.01, 1))
    def test_top_p_is_of_what_top_k_leaves(self, sampling, logits, k, p):
        together = sampling.truncate(jnp.asarray(logits), k, p)
        in_turn = sampling.truncate(sampling.truncate(jnp.asarray(logits), k), None, p)
        np.testing.assert_array_equal(together, in_turn)

    def test_exact_chances_are_cut_where_they_reach_p(self, sampling):
        logits = jnp.log(jnp.array([0.25, 0.5, 0.125, 0.125]))
        found = np.isfinite(sampling.truncate(logits, None, 0.76))
        assert found.tolist() == [True, True, True, False]
        found = np.isfinite(sampling.truncate(logits, None, 0.74))
        assert found.tolist() == [True, True, False, False]
        assert sampling.truncate(logits) is logits


class TestGenerate:
    def test_greedy_takes_the_most_likely(self, sampling, table):
        tokens = sampling.generate(table, jnp.zeros((), int), [2, 5], length=6, temperature=0)
        expected, weight = [5], np.asarray(table.weight)
        for _ in range(6):
            expected.append(int(weight[expected[-1]].argmax()))
        assert tokens.tolist() == expected[1:]
        assert tokens.dtype == jnp.int32

    def test_token_is_drawn_by_its_own_key(self, sampling, table):
        key, rule = jr.key(3), {"temperature": 0.9, "top_k": 5, "top_p": 0.95}
        prompt = np.array([7], np.uint8)
        tokens = sampling.generate(table, jnp.zeros((), int), prompt, key, length=6, **rule)
        last = 7
        for i, token in enumerate(tokens.tolist()):
            last = int(sampling.choose(table.weight[last], jr.fold_in(key, i), **rule))
            assert token == last

    def test_after_the_stop_there_is_nothing_else(self, sampling, table):
        options = {"length": np.int64(12), "temperature": np.float32(1)}
        start, key = jnp.zeros((), int), jr.key(0)
        whole = sampling.generate(table, start, [0], key, **options).tolist()
        stop = np.int64(whole[4])
        first = whole.index(stop)
        cut = sampling.generate(table, start, [0], key, stop=stop, **options).tolist()
        assert cut == whole[: first + 1] + [stop] * (11 - first)
        stop = whole[0]
        cut = sampling.generate(table, start, [0], key, stop=stop, **options).tolist()
        assert cut == [stop] * 12

    def test_batch_is_each_alone(self, sampling, table):
        def alone(prompt, key):
            start = jnp.zeros((), int)
            return sampling.generate(table, start, prompt, key, length=8, stop=1, top_k=6)

        prompts, keys = jnp.array([[0, 2], [3, 4], [5, 6]]), jr.split(jr.key(5), 3)
        together = jax.jit(jax.vmap(alone))(prompts, keys)
        each = [alone(prompt, key) for prompt, key in zip(prompts, keys, strict=True)]
        np.testing.assert_array_equal(together, each)
        assert len({tuple(row) for row in together.tolist()}) == 3

    def test_other_weights_are_not_compiled_again(self, sampling, table):
        traces = []

        class Counted(Table):
            def __call__(self, count, tokens):
                traces.append(tokens.shape)
                return super().__call__(count, tokens)

        for scale in (1.0, 2.0):
            model = Counted(scale * table.weight)
            sampling.generate(model, jnp.zeros((), int), [0, 1], length=3, temperature=0)
        assert len(traces) == len(set(traces)) == 2  # the prompt, and one token

    @pytest.mark.parametrize(
        ("changed", "told"),
        [
            ({"prompt": []}, r"at least one; got shape \(0,\)"),
            (
                {"prompt": [[1]]},
                r"`prompt` must be integers of shape \(n,\), at least one; got sha",
            ),
            ({"prompt": [1.0]}, "of float32. Begin with a token that begins texts"),
            ({"key": None}, "A token is drawn by a `key`. Pass one, or `temperature=0`"),
            ({"length": 0}, "`length` must be an integer, 1 or more; got 0"),
            ({"length": 2.0}, "`length` must be an integer"),
            ({"stop": [1, 2]}, r"`stop` must be one token, an integer, or None; got \[1, 2\]"),
            ({"stop": 8}, "`stop` must be one of the 8 tokens, from 0 on; got 8"),
            ({"top_k": 0}, "`top_k` must be"),
        ],
    )
    def test_what_it_cannot_take_is_told(self, sampling, table, changed, told):
        given = {"prompt": [1], "key": jr.key(0), "length": 2} | changed
        with pytest.raises(ValueError, match=told):
            sampling.generate(table, jnp.zeros((), int), **given)

    def test_logits_of_all_tokens_are_refused(self, sampling, table):
        def of_all(count, tokens):
            return table.weight[tokens], count

        with pytest.raises(ValueError, match=r"`step` gives .* got shape \(2, 8\) of float32. Of"):
            sampling.generate(of_all, 0, [1, 2], length=2, temperature=0)


def model_of(language_model, kind):
    """A small model whose tokens are told by positions, or by a turn and a window."""
    keys, size = jr.split(jr.key(7), 4), 16
    options = {"is_causal": True, "width_size": 24}
    positions, norm = nn.LearnedPositions(24, size, key=keys[2]), nn.LayerNorm(size)
    if kind == "window":
        options |= {"window": (3, 0), "rotary": nn.RotaryPositionalEmbedding(8)}
        positions, norm = None, nn.RMSNorm(size)
    blocks = [nn.TransformerBlock(size, 2, **options, key=key) for key in keys[:2]]
    return language_model.LanguageModel(11, blocks, norm, positions, key=keys[3])


@pytest.mark.parametrize("kind", ["positions", "window"])
def test_with_a_cache_as_without(sampling, language_model, kind):
    model, prompt, key = model_of(language_model, kind), np.array([3, 1, 4]), jr.key(8)
    model = eqx.tree_at(lambda it: it.tied.pytree[0].weight, model, replace_fn=lambda x: 10 * x)
    caches = model.init_cache(9, ring=True) if kind == "window" else model.init_cache(14)
    tokens = sampling.generate(model.step, caches, prompt, key, length=12, temperature=2.0)
    assert len(set(tokens.tolist())) > 5
    at_once = eqx.filter_jit(model)(jnp.concatenate([prompt, tokens[:-1]]))[2:]
    keys = jax.vmap(lambda i: jr.fold_in(key, i))(jnp.arange(12))
    draw = jax.vmap(lambda logits, key: sampling.choose(logits, key, temperature=2.0))
    np.testing.assert_array_equal(tokens, draw(at_once, keys))
    greedy = sampling.generate(model.step, caches, prompt, length=1, temperature=0)
    assert greedy == at_once[0].argmax()


def test_cache_without_room_is_told(sampling, language_model):
    model = model_of(language_model, "positions")
    with pytest.raises(RuntimeError, match="The `Cache` of 6 tokens is full"):
        sampling.generate(model.step, model.init_cache(6), [3, 1, 4], length=5, temperature=0)


def test_embedding_and_head_learn_as_one(language_model):
    model = model_of(language_model, "positions")
    grads = eqx.filter_grad(lambda model: model(jnp.array([1, 2])).var())(model)
    embedding, head = grads.tied.pytree
    assert embedding.weight.shape == (11, 16)
    assert not eqx.is_array(head.weight)
    assert (np.abs(embedding.weight).max(axis=1) > 0).all()  # by the head, which uses each row
