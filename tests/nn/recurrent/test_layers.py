"""`RNN`, `LSTM` and `GRU` against their cells, called step by step in Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_grad, filter_jit, is_array, tree_at
from eqx_nn import GRU, LSTM, RNN, GRUCell, Keys, LSTMCell, RNNCell, inference_mode
from eqx_pytree import Module, tree_equal

KEY = jax.random.key(0)
XS = jax.random.normal(KEY, (3, 6, 2))
LENGTHS = np.array([6, 1, 4])
CELLS = {"RNN": RNNCell, "LSTM": LSTMCell, "GRU": GRUCell}


def layer(name, layers=1, both=False, **settings):
    if name != "RNN":
        return {"LSTM": LSTM, "GRU": GRU}[name](
            2, 3, layers, bidirectional=both, key=KEY, **settings
        )
    keys = iter(jax.random.split(KEY, 2 * layers))
    sizes = [2] + [3 * (1 + both)] * (layers - 1)
    rows = [[RNNCell(size, 3, key=next(keys)) for size in sizes] for _ in range(1 + both)]
    return RNN(*rows, **settings)


def output(state):
    return state[0] if isinstance(state, tuple) else state


def by_hand(model, xs, length, state=None):
    """One sequence: only the steps that are there are ever seen."""
    rows = list(zip(model.cells, model.reverse_cells or model.cells, strict=True))
    ends, place, xs = [], 0, list(xs[:length])
    for row in rows:
        columns = []
        for direction in range(1 + (model.reverse_cells is not None)):
            cell = row[direction]
            now = cell.initial_state()
            if state is not None:
                now = jax.tree.map(lambda x, place=place: x[place], state)
            backwards = bool(direction) or model.reverse
            ys = []
            for x in xs[::-1] if backwards else xs:
                now = cell(x, now)
                ys.append(output(now))
            columns.append(ys[::-1] if backwards else ys)
            ends.append(now)
            place += 1
        xs = [jnp.concatenate(ys) for ys in zip(*columns, strict=True)]
    return xs, jax.tree.map(lambda *leaves: jnp.stack(leaves), *ends)


def padded(ys, size):
    ys = np.array(ys).reshape(len(ys), -1)
    return np.pad(ys, ((0, size - len(ys)), (0, 0)))


def assert_close(one, other, rtol=1e-4, atol=1e-5):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


@pytest.fixture(params=["RNN", "LSTM", pytest.param("GRU", marks=pytest.mark.again)])
def name(request):
    return request.param


class TestAgainstTheCells:
    @pytest.mark.parametrize(("layers", "both"), [(1, False), (2, False), (1, True), (2, True)])
    def test_outputs_and_states_of_a_padded_batch(self, name, layers, both):
        model = layer(name, layers, both)
        ys, last = filter_jit(model)(XS, lengths=LENGTHS)
        assert ys.shape == (3, 6, 3 * (1 + both))
        for i, length in enumerate(LENGTHS):
            expected, end = by_hand(model, XS[i], length)
            np.testing.assert_allclose(ys[i], padded(expected, 6), rtol=1e-4, atol=1e-5)
            assert_close(jax.tree.map(lambda x, i=i: x[i], last), end)

    def test_from_states_that_are_given(self, name):
        model = layer(name, 2, both=True)
        state = jax.tree.map(lambda x: x + 0.3, model.initial_state(3))
        state = jax.tree.map(lambda x: x * jnp.arange(1.0, 4)[:, None, None], state)
        ys, last = model(XS, state, lengths=LENGTHS)
        for i, length in enumerate(LENGTHS):
            of_one = jax.tree.map(lambda x, i=i: x[i], state)
            expected, end = by_hand(model, XS[i], length, of_one)
            np.testing.assert_allclose(ys[i], padded(expected, 6), rtol=1e-4, atol=1e-5)
            assert_close(jax.tree.map(lambda x, i=i: x[i], last), end)

    def test_one_state_for_all_of_a_batch(self, name):
        model = layer(name)
        of_one = jax.tree.map(lambda x: x + 0.3, model.initial_state())
        of_each = jax.tree.map(lambda x: jnp.broadcast_to(x, (3, *x.shape)), of_one)
        assert_close(model(XS, of_one), model(XS, of_each))

    def test_backwards(self, name):
        model = layer(name, 2, reverse=True)
        ys, last = model(XS, lengths=LENGTHS)
        for i, length in enumerate(LENGTHS):
            expected, end = by_hand(model, XS[i], length)
            np.testing.assert_allclose(ys[i], padded(expected, 6), rtol=1e-4, atol=1e-5)
            assert_close(jax.tree.map(lambda x, i=i: x[i], last), end)

    @pytest.mark.parametrize("batch", [(), (3,), (3, 1)])
    def test_a_batch_is_what_vmap_makes_of_it(self, name, batch):
        model = layer(name, 2, both=True)
        xs = XS.reshape(*batch, *XS.shape[1:]) if batch else XS[0]
        mapped = model
        for _ in batch:
            mapped = jax.vmap(mapped)
        assert_close(model(xs), mapped(xs))

    def test_a_sequence_in_two_parts(self, name):
        model = layer(name, 2)
        whole, end = model(XS)
        first, state = model(XS[:, :2])
        second, last = model(XS[:, 2:], state)
        assert_close(jnp.concatenate([first, second], 1), whole)
        assert_close(last, end)

    @pytest.mark.parametrize("unroll", [2, 5])
    def test_unrolled(self, name, unroll):
        assert_close(layer(name, unroll=unroll)(XS), layer(name)(XS))

    def test_a_mask_with_holes_is_the_sequence_without_them(self, name):
        model = layer(name, 2, both=True)
        mask = np.array([True, False, True, True, False, True])
        ys, last = model(XS[0], mask=mask)
        expected, end = model(XS[0][mask])
        assert_close(ys[mask], expected)
        assert not ys[~mask].any()
        assert_close(last, end)

    def test_where_each_direction_ends(self, name):
        model = layer(name, 2, both=True)
        ys, last = model(XS, lengths=LENGTHS)
        end, state = model(XS, lengths=LENGTHS, return_sequences=False)
        assert_close(state, last)
        forwards = np.stack([ys[i, length - 1, :3] for i, length in enumerate(LENGTHS)])
        assert_close(end, jnp.concatenate([forwards, ys[:, 0, 3:]], -1))


class TestPadding:
    def test_what_stands_there_changes_no_result_and_no_gradient(self, name):
        model = layer(name, 2, both=True)

        @filter_jit
        def value_and_gradient(model, xs):
            def total(both):
                ys, last = both[0](both[1], lengths=LENGTHS)
                return sum(jnp.sum(jnp.sin(x)) for x in jax.tree.leaves((ys, last)))

            return total((model, xs)), filter_grad(total)((model, xs))

        there = np.arange(6) < LENGTHS[:, None]
        noise = jnp.where(there[..., None], XS, jnp.nan)
        one, other = value_and_gradient(model, XS), value_and_gradient(model, noise)
        assert tree_equal(one, other)
        assert not one[1][1][~there].any()
        assert np.abs(one[1][1][there]).min() > 0

    def test_a_sequence_of_nothing_keeps_the_state(self, name):
        model = layer(name, 2)
        state = jax.tree.map(lambda x: x + 0.3, model.initial_state(3))
        ys, last = model(XS, state, lengths=jnp.zeros(3, int))
        assert not ys.any()
        assert_close(last, state)
        ys, last = model(XS[:, :0], state)
        assert ys.shape == (3, 0, 3)
        assert_close(last, state)

    def test_an_empty_batch(self, name):
        ys, last = layer(name)(XS[:0], lengths=jnp.zeros(0, int))
        assert ys.shape == (0, 6, 3)
        assert {x.shape for x in jax.tree.leaves(last)} == {(0, 1, 3)}

    def test_lengths_that_are_traced_or_listed(self, name):
        model = layer(name)
        expected = model(XS, lengths=LENGTHS)
        assert_close(jax.jit(lambda n: model(XS, lengths=n))(LENGTHS), expected)
        assert_close(model(XS, lengths=[6, 1, 4]), expected)

    @pytest.mark.parametrize(
        ("given", "error", "message"),
        [
            ({"lengths": [6, 7, 4]}, ValueError, r"from 0 to 6.*`lengths\[1\]` is 7"),
            ({"lengths": [6, 1, -4]}, ValueError, r"`lengths\[2\]` is -4"),
            ({"lengths": 4}, ValueError, r"`lengths` of shape \(3,\).*got shape \(\)"),
            ({"lengths": [6.0, 1.0, 4.0]}, TypeError, "integers as `lengths`.*float32"),
            ({"lengths": "long"}, TypeError, "an array as `lengths`.*'long'"),
            ({"mask": np.ones((3, 6))}, TypeError, "booleans as `mask`, True where.*float"),
            ({"mask": np.ones((3, 5), bool)}, ValueError, r"`mask` of shape \(3, 6\)"),
            (
                {"mask": np.ones((3, 6), bool), "lengths": LENGTHS},
                ValueError,
                "both `lengths` and `mask`",
            ),
        ],
    )
    def test_what_is_no_padding(self, given, error, message):
        with pytest.raises(error, match=f"(?s)`LSTM` .*{message}"):
            layer("LSTM")(XS, **given)

    @pytest.mark.parametrize("reverse", [False, True])
    def test_a_cell_meets_nothing_there_that_is_not_in_the_sequence(self, reverse):
        class Normed(RNNCell):
            def __call__(self, input, hidden, *, key=None):
                return super().__call__(input / jnp.linalg.norm(input), hidden)

        roots = RNNCell(2, 3, False, jnp.sqrt, weight_init=jax.nn.initializers.ones, key=KEY)
        for cell in (Normed(2, 3, key=KEY), roots):
            model = RNN([cell], reverse=reverse)
            xs = jnp.abs(XS[0])

            def total(xs, length=None, model=model):
                return jnp.sum(model(xs, lengths=length)[0])

            found = jax.grad(total)(xs, 2)
            np.testing.assert_allclose(found[:2], jax.grad(total)(xs[:2]), rtol=1e-4)
            assert not found[2:].any()

    def test_not_a_number_there_is_no_matter_for_debug_nans(self):
        noise = XS.at[:, 4:].set(jnp.nan)
        with jax.debug_nans(True):
            layer("LSTM", 2, both=True)(noise, lengths=[4, 2, 1])


class TestDropout:
    def test_is_between_layers(self):
        model = layer("LSTM", 2, dropout=0.5)
        ys, _ = model(XS, key=KEY)
        assert not np.allclose(ys, model(XS, inference=True)[0])
        assert_close(inference_mode(model)(XS), model(XS, inference=True))
        one = layer("LSTM", dropout=0.5)
        assert_close(one(XS), one(XS, inference=True))

    def test_needs_a_key(self):
        with pytest.raises(RuntimeError, match="Dropout requires a key"):
            layer("GRU", 2, dropout=0.5)(XS)

    def test_drops_the_outputs_that_the_next_layer_reads(self):
        model = layer("GRU", 2, dropout=0.5)
        first, second = RNN(model.cells[0]), RNN(model.cells[1])
        keys = Keys(KEY)
        between = jnp.moveaxis(first(XS)[0], 1, 0)
        between = model.dropout(between, key=keys[1, "dropout"])
        expected, _ = second(jnp.moveaxis(between, 0, 1))
        assert_close(model(XS, key=keys)[0], expected)

    def test_no_key_is_made_where_nothing_is_dropped(self):
        model = layer("GRU", 2)
        program = str(jax.make_jaxpr(lambda xs: model(xs, key=Keys(KEY)))(XS))
        assert "random" not in program


class TestParameters:
    def test_lstm_and_gru_are_their_cells_with_a_key_each(self):
        model = layer("LSTM", 2, both=True)
        keys = jax.random.split(KEY, 4)
        cells = [model.cells[0], model.reverse_cells[0], model.cells[1], model.reverse_cells[1]]
        for cell, key, size in zip(cells, keys, [2, 2, 6, 6], strict=True):
            assert tree_equal(cell, LSTMCell(size, 3, key=key))

    def test_dtype_bias_and_initializers_go_to_the_cells(self):
        ones = jax.nn.initializers.ones
        [key] = jax.random.split(KEY, 1)
        settings = {"dtype": jnp.float16, "weight_init": ones}
        model = GRU(2, 3, bias=False, **settings, key=KEY)
        assert tree_equal(model.cells[0], GRUCell(2, 3, False, **settings, key=key))
        model = GRU(2, 3, bias_init=ones, key=KEY)
        assert tree_equal(model.cells[0], GRUCell(2, 3, bias_init=ones, key=key))

    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda: LSTM(2, 3, 0, key=KEY), ValueError, "`LSTM` has at least one layer"),
            (lambda: GRU(2, 3, 1.5, key=KEY), TypeError, "`GRU` needs .* `num_layers`"),
            (lambda: LSTM(-2, 3, key=KEY), ValueError, "`input_size`"),
            (lambda: LSTM(2, key=KEY), TypeError, r"^LSTM.__init__\(\) missing .* 'hidden_size'"),
            (lambda: GRU(2, key=KEY), TypeError, r"^GRU.__init__\(\) missing .* 'hidden_size'"),
            (
                lambda: LSTM(2, 3, use_bias=True, bias=False, key=KEY),
                ValueError,
                "`LSTM` was given both",
            ),
            (
                lambda: GRU(2, 3, bidirectional=True, reverse=True, key=KEY),
                ValueError,
                "`GRU` reads in both directions; `reverse=True`",
            ),
            (lambda: LSTM(2, 3, key=0), TypeError, "`LSTM` needs a PRNG key as `key`"),
            (lambda: RNN([]), TypeError, "at least one cell as `cell`"),
            (lambda: RNN(LSTMCell), TypeError, "a cell as `cell`, such as"),
            (lambda: RNN([layer("LSTM").cells[0], 3]), TypeError, r"`cell\[1\]`.*got 3"),
            (
                lambda: RNN([RNNCell(2, 3, key=KEY), RNNCell(4, 3, key=KEY)]),
                ValueError,
                r"`cell\[1\]` of `RNN` has `input_size=4`; .* size 3",
            ),
            (
                lambda: RNN(RNNCell(2, 3, key=KEY), [RNNCell(2, 3, key=KEY)] * 2),
                ValueError,
                "as many cells .* got 1 and 2",
            ),
        ],
    )
    def test_what_does_not_fit(self, make, error, message):
        with pytest.raises(error, match=message):
            make()


class TestInputs:
    @pytest.mark.parametrize(
        ("xs", "error", "message"),
        [
            (XS[..., :1], ValueError, r"`xs` of shape `\(\*batch, length, 2\)`; got shape"),
            (XS[0, 0], ValueError, r"`xs\[None\]` is a sequence of it"),
            ("text", TypeError, "got a `str`, which is no array"),
        ],
    )
    def test_of_another_shape(self, name, xs, error, message):
        with pytest.raises(error, match=f"`{name}` expects .*{message}"):
            layer(name)(xs)

    def test_states_of_another_shape_or_structure(self):
        model = layer("LSTM", 2)
        h = jnp.zeros((3, 2, 3))
        with pytest.raises(
            ValueError, match=r"`LSTM` .*`state\[1\]` of shape \(3, 2, 3\) or \(2, 3\)"
        ):
            model(XS, (h, h[:, :1]))
        with pytest.raises(TypeError, match="`LSTM` expects `state` as it returns it"):
            model(XS, h)

    def test_integers_become_floats(self, name):
        model = layer(name)
        xs = jnp.arange(12).reshape(6, 2)
        assert_close(model(xs), model(xs.astype(jnp.float32)))

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64"])
    def test_dtypes_are_those_of_the_cell(self, name, dtype):
        cell = CELLS[name](2, 3, dtype=dtype, key=KEY)
        xs = XS[0, :2].astype(dtype)
        ys, last = filter_jit(RNN(cell))(xs)
        now = cell(xs[0], cell.initial_state())
        assert {x.dtype for x in jax.tree.leaves((ys, last))} == {output(now).dtype}
        np.testing.assert_allclose(
            ys[0].astype("complex64"), output(now).astype("complex64"), rtol=0.02, atol=0.02
        )

    def test_numpy_goes_in(self, name):
        model = layer(name)
        in_numpy = jax.tree.map(lambda x: np.asarray(x) if is_array(x) else x, model)
        assert_close(in_numpy(np.asarray(XS)), model(XS))

    def test_ranks_are_not_promoted(self, name):
        with jax.numpy_rank_promotion("raise"):
            layer(name, 2, both=True)(XS, lengths=LENGTHS)
            layer(name)(XS[0], layer(name).initial_state())

    def test_a_state_without_a_batch_whose_size_is_that_of_the_batch(self):
        model = RNN([RNNCell(2, 2, key=KEY)] * 2)
        state = jnp.arange(4.0).reshape(2, 2)
        expected = model(XS[:2], jnp.stack([state, state]))
        assert_close(model(XS[:2], state), expected)

    def test_a_state_in_a_list(self):
        model = layer("LSTM")
        state = model.initial_state()
        assert_close(model(XS, list(state)), model(XS, state))


class Decay(Module):
    """A cell that is not known, and has a state of two arrays of other shapes."""

    rate: jax.Array

    def __call__(self, x, state, *, key=None):
        total, count = state
        noise = 0 if key is None else jax.random.normal(key, x.shape)
        return self.rate * total + x + noise, count + 1

    def initial_state(self):
        return jnp.zeros(2), jnp.zeros((), int)


class TestOtherCells:
    def test_are_called(self):
        model = RNN(Decay(jnp.array(0.5)))
        ys, (total, count) = model(XS, lengths=LENGTHS)
        expected = jnp.zeros((3, 2))
        for t in range(6):
            there = (t < LENGTHS)[:, None]
            expected = jnp.where(there, 0.5 * expected + XS[:, t], expected)
            np.testing.assert_allclose(ys[:, t], jnp.where(there, expected, 0), rtol=1e-5)
        np.testing.assert_allclose(total[:, 0], expected, rtol=1e-5)
        np.testing.assert_array_equal(count[:, 0], LENGTHS)

    def test_have_gradients(self):
        grads = filter_grad(lambda m: jnp.sum(m(XS)[0]))(RNN(Decay(jnp.array(0.5))))
        assert jnp.isfinite(grads.cells[0].rate)
        assert grads.cells[0].rate != 0

    def test_get_a_key_for_each_step(self):
        model = RNN(Decay(jnp.array(0.0)))
        noise = model(XS, key=KEY)[0] - XS
        assert len(np.unique(np.round(noise, 4))) == noise.size

    def test_may_need_a_key(self):
        class Noisy(Decay):
            def __call__(self, x, state, *, key):
                return super().__call__(x, state, key=key)

        model = RNN(Noisy(jnp.array(0.0)))
        assert jnp.all(model(XS, key=KEY)[0] != XS)
        assert model(XS[:, :0], key=KEY)[0].shape == (3, 0, 2)

    def test_may_have_a_list_or_a_key_as_state(self):
        class Listed(Module):
            def __call__(self, x, state, *, key=None):
                total, key = state
                return [total + x, jax.random.fold_in(key, 1)]

            def initial_state(self):
                return [jnp.zeros(2), KEY]

        model = RNN(Listed())
        ys, [last, keys] = model(XS, model.initial_state(), lengths=LENGTHS)
        np.testing.assert_allclose(ys[0], jnp.cumsum(XS[0], 0), rtol=1e-5)
        assert last.shape == (3, 1, 2)
        assert keys.shape == (3, 1)

    @pytest.mark.parametrize("shape", [(), (2, 2)])
    def test_whose_output_is_no_vector_are_told(self, shape):
        with pytest.raises(TypeError, match=r"The output of a cell, .* is a vector; that of"):
            RNN(lambda x, state: state)(XS, jnp.zeros((1, *shape)))

    def test_a_subclass_is_called(self):
        class Twice(GRUCell):
            def __call__(self, input, hidden, *, key=None):
                return 2 * super().__call__(input, hidden)

        cell = Twice(2, 3, key=KEY)
        ys, _ = RNN(cell)(XS[0])
        np.testing.assert_allclose(ys[0], cell(XS[0, 0], jnp.zeros(3)), rtol=1e-5)

    def test_without_a_first_state_need_one(self):
        def cell(x, state):
            return state + x

        with pytest.raises(TypeError, match=r"`function` has no method `initial_state\(\)`"):
            RNN(cell)(XS)
        ys, _ = RNN(cell)(XS, jnp.zeros((1, 2)))
        np.testing.assert_allclose(ys, jnp.cumsum(XS, 1), rtol=1e-5)
        with pytest.raises(
            ValueError, match=r"`state` of shape \(3, 1\) and then that of one cell"
        ):
            RNN(cell)(XS, jnp.zeros((4, 2)))

    def test_that_change_their_state_are_told(self):
        with pytest.raises(TypeError, match=r"`function` was given \(2,\) and returned \(\)"):
            RNN(lambda x, state: jnp.sum(state))(XS, jnp.zeros((1, 2)))

    def test_of_other_sizes_are_one_after_the_other(self):
        model = RNN([GRUCell(2, 3, key=KEY), GRUCell(3, 4, key=KEY)])
        with pytest.raises(ValueError, match=r"need one shape; got \(3,\), \(4,\)"):
            model(XS)

    def test_promote_their_state(self):
        ys, last = RNN(lambda x, state: state + x)(XS, jnp.zeros((1, 2), int))
        assert ys.dtype == last.dtype == jnp.float32


def test_weights_that_are_no_arrays_are_left_to_the_cell():
    class Doubled(Module):
        half: jax.Array

        def __matmul__(self, x):
            return 2 * self.half @ x

    cell = GRUCell(2, 3, key=KEY)
    other = tree_at(lambda c: c.weight_hh, cell, Doubled(cell.weight_hh / 2))
    state = jnp.zeros((1, 3))
    assert_close(RNN(other)(XS, state)[0], RNN(cell)(XS, state)[0])
