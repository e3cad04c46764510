"""The `.npy` format: read as NumPy reads it, and refused as it must be."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from eqx_filter.checkpoints._errors import LeafError
from eqx_filter.checkpoints._npy import dtype_on_disk, read_elements, read_header, write_array

ARRAYS = npst.arrays(
    npst.scalar_dtypes() | npst.nested_dtypes(max_itemsize=50),
    npst.array_shapes(min_dims=0, min_side=0, max_dims=4, max_side=3),
)


class Slowly:
    """A file that gives what it is asked for in parts."""

    def __init__(self, data, step):
        self.file = io.BytesIO(data)
        self.step = step

    def read(self, size):
        return self.file.read(min(size, self.step))


def read(file):
    header = read_header(file)
    return read_elements(file, header, dtype_on_disk(header))


def npy(array, version=None):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version, allow_pickle=False)
    return file.getvalue()


def with_header(text, version=(1, 0)):
    encoded = text.encode("latin-1") if isinstance(text, str) else text
    length = struct.pack("<H" if version == (1, 0) else "<I", len(encoded))
    return b"\x93NUMPY" + bytes(version) + length + encoded


@settings(max_examples=150, derandomize=True, deadline=None)
@given(ARRAYS, st.sampled_from("CF"), st.sampled_from([(1, 0), (2, 0), (3, 0), None]))
@pytest.mark.filterwarnings("ignore:Stored array in format:UserWarning")
def test_reads_what_numpy_writes(array, order, version):
    array = np.asarray(array, order=order)
    try:
        data = npy(array, version)
    except (ValueError, UnicodeEncodeError):  # names that this version cannot hold
        return
    expected = np.load(io.BytesIO(data), allow_pickle=False)
    for file in (io.BytesIO(data + b"rest"), Slowly(data + b"rest", 7)):
        found = read(file)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.flags.f_contiguous == expected.flags.f_contiguous
        assert found.tobytes() == expected.tobytes()
        assert file.read(9) == b"rest"


@settings(max_examples=50, derandomize=True, deadline=None)
@given(ARRAYS)
@pytest.mark.filterwarnings("ignore:Stored array in format:UserWarning")
def test_writes_what_numpy_writes(array):
    file = io.BytesIO()
    write_array(file, array)
    assert file.getvalue() == npy(array)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.data())
def test_refuses_every_damage_to_a_header_that_numpy_refuses(data):
    whole = npy(np.arange(3))
    at = data.draw(st.integers(0, 127))
    damaged = bytearray(whole)
    damaged[at] = data.draw(st.integers(0, 255))
    try:
        expected = np.load(io.BytesIO(damaged), allow_pickle=False)
    except Exception:
        with pytest.raises(LeafError):
            read(io.BytesIO(damaged))
    else:
        try:
            found = read(io.BytesIO(damaged))
        except LeafError:
            return
        assert (found.dtype, found.tobytes()) == (expected.dtype, expected.tobytes())


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("", "its header is `b''`"),
        ("{}", "its header is `b'{}'`"),
        ("[1, 2]", r"its header is `b'\[1, 2\]'`"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "its header is"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}", "its header is"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': 3}", "its header is"),
        ("{'descr': '<f4', 'fortran_order': 1, 'shape': (3,)}", "its header is"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'a': 1}", "its header is"),
        ("{'descr': '<q9', 'fortran_order': False, 'shape': (3,)}", "`'<q9'` is no dtype"),
        ("{'descr': 3.5, 'fortran_order': False, 'shape': (3,)}", "`3.5` is no dtype"),
        ("__import__('os').abort()", "its header is"),
        ("(" * 5000, "its header is"),
    ],
)
def test_headers_that_are_refused(header, told):
    with pytest.raises(LeafError, match=f"{told}.* The data is damaged, or was not written by"):
        read(io.BytesIO(with_header(header)))


def test_a_long_header_is_not_read():
    with pytest.raises(LeafError, match=r"its header claims 4294967295 bytes, and none has more"):
        read(io.BytesIO(b"\x93NUMPY\x02\x00\xff\xff\xff\xff"))
    with pytest.raises(LeafError, match=r"no version 9\.0 of the format is known"):
        read(io.BytesIO(b"\x93NUMPY\x09\x00\xff\xff"))


def test_booleans_are_0_or_1():
    damaged = npy(np.array([True, False]))[:-1] + b"\x02"
    with pytest.raises(LeafError, match="its booleans are other bytes than 0 and 1"):
        read(io.BytesIO(damaged))


def test_a_file_must_return_bytes():
    with pytest.raises(LeafError, match="the file's `read` must return bytes, not `str`"):
        read(io.StringIO("words and more words"))
