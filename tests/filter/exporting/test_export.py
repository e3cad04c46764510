"""`export`: programs that are run by a process which has JAX alone."""

import collections
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import error_if, export, filter_vmap
from eqx_pytree import Module, field

pytest.importorskip("flatbuffers")

KEY = jax.random.key(0)
X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


class Affine(Module):
    weight: jax.Array
    bias: jax.Array
    activation: object
    name: str = field(static=True, default="affine")

    def __call__(self, x):
        return self.activation(self.weight @ x + self.bias)

    def both(self, x, *, factor):
        return {"y": self(x) * factor, "self": self}


class Pair(Module):
    first: jax.Array
    second: object


class Odd(Module):
    __metadata__: jax.Array

    def __call__(self, x):
        return x


MODEL = Affine(jax.random.normal(KEY, (4, 3)), jnp.ones(4), jnp.tanh)
EXPECTED = jax.vmap(MODEL)(X)


def elsewhere(folder, code):
    """Run code in a process in which our packages cannot be imported; give what it prints."""
    block = """
        import sys
        for name in ("eqx_pytree", "eqx_filter", "eqx_nn", "equinox"):
            sys.modules[name] = None
        import jax, numpy as np
        from jax import export
        x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
        program = export.deserialize(bytearray(open("model.export", "rb").read()))
    """
    script = textwrap.dedent(block) + textwrap.dedent(code)
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


class TestElsewhere:
    def test_weights_inside_and_a_size_with_a_name(self, tmp_path):
        path = export(filter_vmap(MODEL), "float32[batch, 3]").save(tmp_path / "model")
        assert path == tmp_path / "model.export"
        told = elsewhere(
            tmp_path,
            """
            np.save("y", program.call(x))
            assert program.call(np.ones((5, 3), np.float32)).shape == (5, 4)
            """,
        )
        assert told == ""
        np.testing.assert_allclose(np.load(tmp_path / "y.npy"), EXPECTED, rtol=1e-5, atol=1e-6)

    def test_weights_beside_and_a_derivative(self, tmp_path):
        load_file = pytest.importorskip("safetensors.numpy").load_file
        exported = export(filter_vmap(MODEL), "f32[batch, 3]", weights="beside")
        exported.save(tmp_path / "model", vjp_order=1)
        weights = load_file(tmp_path / "model.safetensors")
        assert set(weights) == {"weight", "bias"}
        np.testing.assert_array_equal(weights["weight"], MODEL.weight)
        elsewhere(
            tmp_path,
            """
            from safetensors.numpy import load_file
            weights = load_file("model.safetensors")
            total = lambda weights: program.call(weights, x).sum()
            value, grads = jax.value_and_grad(total)(weights)
            np.savez("y", value=value, **grads)
            """,
        )
        found = np.load(tmp_path / "y.npz")
        value, grad = jax.value_and_grad(
            lambda weight: jnp.sum(jnp.tanh(X @ weight.T + MODEL.bias))
        )(MODEL.weight)
        np.testing.assert_allclose(found["value"], value, rtol=1e-5)
        np.testing.assert_allclose(found["weight"], grad, rtol=1e-4, atol=1e-5)


class TestHere:
    def test_a_method_with_keywords_whose_result_holds_a_module(self):
        exported = export(MODEL.both, X[0], factor=jnp.float32(0))
        found = exported(X[1], factor=jnp.float32(2))
        np.testing.assert_allclose(found["y"], 2 * EXPECTED[1], rtol=1e-5)
        assert set(found["self"]) == {"weight", "bias", "activation"}
        assert found["self"]["activation"] is None
        np.testing.assert_array_equal(found["self"]["weight"], MODEL.weight)

    def test_a_method_with_weights_beside(self):
        exported = export(MODEL.both, "f32[3]", factor="f32[]", weights="beside")
        assert set(exported.weights) == {"weight", "bias"}
        found = exported(X[1], factor=np.float32(2))
        np.testing.assert_allclose(found["y"], 2 * EXPECTED[1], rtol=1e-5)

    def test_nodes_of_any_kind_go_in(self):
        Named = collections.namedtuple("Named", "z a")

        def fn(named, pair, mode, by_name):
            assert mode == "train"
            assert pair.second == "kept"
            return (named.z - named.a) * pair.first, by_name["b"] - by_name["a"], None, [1.5]

        named, pair = Named(jnp.float32(5), jnp.float32(2)), Pair(X, "kept")
        by_name = {"b": jnp.ones(2), "a": jnp.zeros(2)}
        exported = export(fn, named, pair, "train", by_name)
        one, other, nothing, [number] = exported(named, pair, "train", by_name)
        np.testing.assert_allclose(one, 3 * X)
        np.testing.assert_array_equal(other, [1, 1])
        assert nothing is None
        assert number == 1.5
        in_dicts = exported.program.call((5.0, 2.0), {"first": X, "second": None}, None, by_name)
        np.testing.assert_allclose(in_dicts[0], one)

    def test_sizes_are_one_name_in_all_texts(self):
        exported = export(lambda x, y: x @ y, "float32[n, m]", "float32[m, 2*n]")
        assert exported(jnp.ones((2, 3)), jnp.ones((3, 4))).shape == (2, 4)
        with pytest.raises(
            ValueError, match=r"args\[1\].shape\[0\] \(= 2\) and the specification .m. \(= 3\)"
        ):
            exported(jnp.ones((2, 3)), jnp.ones((2, 4)))

    @pytest.mark.parametrize("dtype", ["bf16", "bool", "u8", "int32", "c64", "float16"])
    def test_dtypes_by_their_names(self, dtype):
        [aval] = export(lambda x: x, f"{dtype}[2]").program.in_avals
        assert aval.shape == (2,)
        assert str(aval.dtype) in {
            dtype,
            {"bf16": "bfloat16", "u8": "uint8", "c64": "complex64"}.get(dtype),
        }

    def test_keys_go_in(self):
        exported = export(lambda key, x: x + jax.random.normal(key, x.shape), KEY, X)
        np.testing.assert_allclose(exported(KEY, X), X + jax.random.normal(KEY, X.shape), 1e-5)

    def test_for_other_platforms(self):
        exported = export(lambda x: 2 * x, X, platforms=("cpu", "cuda", "tpu"))
        assert exported.program.platforms == ("cpu", "cuda", "tpu")

    def test_the_program_has_the_name_of_the_function(self):
        assert export(MODEL, X[0]).program.fun_name == "Affine"


class TestGiven:
    """What is no input is a part of the program, and none other is taken for it."""

    @pytest.mark.parametrize(
        ("args", "kwargs", "told"),
        [
            ((X, 3.0), {"mode": "a"}, r"`args\[1\]` is 2.0 in the program.*got 3.0"),
            ((X, 2), {"mode": "a"}, r"`args\[1\]` is 2.0 in the program.*got 2\."),
            ((X, None), {"mode": "a"}, r"`args\[1\]` is 2.0 in the program.*got None"),
            ((X, np.float32(2)), {"mode": "a"}, r"`args\[1\]` is 2.0 in the program"),
            ((X, 2.0), {"mode": "b"}, r"`kwargs\['mode'\]` is 'a' in the program.*got 'b'"),
            ((X, 2.0), {"mode": "a", "more": 1}, r"`kwargs\['more'\]` is 1, .* exported without"),
        ],
    )
    def test_another_leaf_is_refused(self, args, kwargs, told):
        exported = export(lambda x, scale, mode: x * scale, X, 2.0, mode="a")
        np.testing.assert_array_equal(exported(X, 2.0, mode="a"), 2 * X)
        with pytest.raises(TypeError, match=told):
            exported(*args, **kwargs)

    def test_a_leaf_of_a_module_by_its_own_path(self):
        exported = export(lambda pair: pair.first, Pair(X, jnp.tanh))
        np.testing.assert_array_equal(exported(Pair(X, jnp.tanh)), X)
        with pytest.raises(TypeError, match=r"`args\[0\]\.second` is <.*tanh.*got <.*sin"):
            exported(Pair(X, jnp.sin))

    def test_a_static_field_by_its_path(self):
        exported = export(lambda it: it.weight, Affine(X, X, abs))
        np.testing.assert_array_equal(exported(Affine(X, X, abs)), X)
        with pytest.raises(TypeError, match=r"`args\.0\.name` is 'affine' in the .*; got 'other'"):
            exported(Affine(X, X, abs, "other"))

    def test_plain_containers_stand_for_nodes_if_they_have_the_leaves(self):
        exported = export(lambda pair: pair.first, Pair(X, 2))
        np.testing.assert_array_equal(exported({"first": X, "second": 2}), X)
        with pytest.raises(TypeError, match=r"`args\[0\]\.second` is 2 in the program.* got None"):
            exported({"first": X, "second": None})

    def test_a_leaf_that_is_nan_is_the_same_one(self):
        exported = export(lambda x, fill: x + fill, X, float("nan"))
        assert np.isnan(exported(X, float("nan"))).all()

    def test_a_number_is_an_array_of_the_dtype_of_its_input(self):
        exported = export(lambda x, n, is_on: (x, n, is_on), "f32[]", "i8[]", "bool[]")
        found = exported(1, 3, True)
        assert [it.dtype.name for it in found] == ["float32", "int8", "bool"]
        assert found == (1.0, 3, True)

    @pytest.mark.parametrize("value", [300, 1.0, 2**70])
    def test_a_number_without_a_place_there(self, value):
        exported = export(lambda n: n, "i8[]")
        with pytest.raises(
            TypeError, match=r"`args\[0\]` is an array of dtype int8 in the program"
        ):
            exported(value)

    def test_a_list_of_numbers_is_no_array(self):
        told = r"`args\[0\]` is an array in the program, of shape \(3,\).* Pass an array"
        with pytest.raises(TypeError, match=told):
            export(lambda x: x, "f32[3]")([1.0, 2.0, 3.0])

    def test_self_is_the_name_of_no_argument(self):
        exported = export(lambda x: x, X)
        with pytest.raises(TypeError, match=r"`kwargs\['self'\]` is 1, .* exported without"):
            exported(X, self=1)


class TestSaved:
    def test_a_dot_in_the_name_is_no_suffix(self, tmp_path):
        for name in ("net-0.1", "net-0.2", "net.export"):
            exported = export(Affine(jnp.ones((4, 3)), jnp.ones(4), abs), X[0], weights="beside")
            exported.save(tmp_path / name)
        stems = ("net", "net-0.1", "net-0.2")
        names = {f"{it}{end}" for it in stems for end in (".export", ".safetensors")}
        assert {it.name for it in tmp_path.iterdir()} == names


class TestRefused:
    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda: export(3, X), TypeError, "`export` takes a function as `fn`; 3 cannot"),
            (
                lambda: export(MODEL, X, weights="out"),
                ValueError,
                '"inside" or "beside"; got \'out\'',
            ),
            (lambda: export(MODEL, "float33[3]"), ValueError, r"`float33\[3\]` tells of no array"),
            (
                lambda: export(MODEL, "int64[3]"),
                ValueError,
                r"int64, for which `jax_enable_x64` must",
            ),
            (lambda: export(MODEL, "float32[3,,]"), ValueError, r"`float32\[3,,\]` tells of no"),
            (
                lambda: export(jax.vmap(MODEL), X, weights="beside"),
                ValueError,
                "no arrays in `fn` .* callable PyTree",
            ),
            (
                lambda: export(Odd(X), X, weights="beside"),
                RuntimeError,
                "`tree.__metadata__` cannot be saved: the texts of a file",
            ),
            (
                lambda: export(
                    Affine(jnp.ones((4, 3), jnp.complex64), 0, abs), X[0], weights="beside"
                ),
                ValueError,
                '`weight` has the dtype complex64.*weights="inside"',
            ),
        ],
    )
    def test_what_cannot_be_exported(self, make, error, message):
        with pytest.raises(error, match=message):
            make()

    def test_a_program_that_calls_python(self, monkeypatch):
        def checked(x):
            return error_if(x, x.sum() > 9, "too much")

        with pytest.raises(NotImplementedError) as caught:
            export(checked, X)
        assert "EQX_ON_ERROR=nan" in caught.value.__notes__[0]
        monkeypatch.setenv("EQX_ON_ERROR", "nan")
        exported = export(checked, X)
        assert np.isnan(exported(X + 9)).all()
        np.testing.assert_array_equal(exported(X), X)

    def test_without_flatbuffers(self, tmp_path, monkeypatch):
        exported = export(MODEL, X[0])

        def missing(*_, **__):
            message = "Please install 'flatbuffers'"
            raise ImportError(message)

        monkeypatch.setattr(type(exported.program), "serialize", missing)
        with pytest.raises(ModuleNotFoundError, match=r"eqx-filter\[export\]"):
            exported.save(tmp_path / "model")


def test_its_text_is_short():
    both = lambda x, *, y: (x, {"y": y})  # noqa: E731
    inside = export(both, "float32[batch, 3]", y=jnp.ones(2, jnp.int32), platforms=["cpu"])
    assert repr(inside) == (
        "Exported(inputs=(f32[batch,3], {'y': i32[2]}), outputs=(f32[batch,3], {'y': i32[2]}), "
        "platforms=('cpu',))"
    )
    beside = export(filter_vmap(MODEL), X, weights="beside", platforms=("cpu", "cuda"))
    assert repr(beside) == (
        "Exported(inputs=(f32[2,3],), outputs=f32[2,4], platforms=('cpu', 'cuda'), "
        "bytes_of_weights=64)"
    )
