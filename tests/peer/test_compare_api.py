"""What counts as a difference between what ours offers and what the peer does."""

import inspect

import pytest


def told_of(value):
    from api import described

    return described(value)


def differences_of(ours, peer):
    from compare_api import compare

    return compare({"it": told_of(ours)}, {"it": told_of(peer)})


def peer(x, y=1, *, z=None):
    pass


def more(x, y=1, extra=None, *, more=None, z=None):
    pass


class Plain:
    def method(self, x):
        pass

    @property
    def value(self):
        return 1


class Other:
    value = 1

    def method(self, x, y=2):
        pass

    def __class_getitem__(cls, item):
        return cls


def test_equal_and_wider_are_no_difference():
    assert differences_of(peer, peer) == []
    assert differences_of(more, peer) == []
    assert differences_of(Other, Plain) == []


@pytest.mark.parametrize(
    ("ours", "told"),
    [
        (lambda x, *, z=None: None, "no `y`"),
        (lambda y, x, *, z=None: None, "`x` is at another place"),
        (lambda x, y, *, z=None: None, "`y` is required"),
        (lambda x, y=2, *, z=None: None, "`y` is 2 by default, not 1"),
        (lambda x, *, y=1, z=None: None, "`y` is at another place"),
        (lambda x, y=1, *, z=None, w: None, "`w` is required, and not there"),
        (lambda *args, **kwargs: None, "no `x`"),
        (3, "int, not function"),
        (Plain, "class, not function"),
    ],
)
def test_what_is_narrower_is_told(ours, told):
    assert f"it {told}" in differences_of(ours, peer)


def test_members_and_brackets():
    assert differences_of(Plain, Other) == [
        "it cannot be subscripted",
        "it `.method`: no `y`",
    ]


@pytest.mark.parametrize(
    ("ours", "told"),
    [
        (["a", "b"], []),
        (["a", "b", "c"], []),
        (["a"], ["it fields ['a'], not ['a', 'b']"]),
        (["c", "a", "b"], ["it fields ['c', 'a', 'b'], not ['a', 'b']"]),
        (None, ["it fields None, not ['a', 'b']"]),
    ],
)
def test_fields_may_follow_those_of_the_peer(ours, told):
    from compare_api import compare

    of_peer, of_ours = ({**told_of(Plain), "fields": it} for it in (["a", "b"], ours))
    assert compare({"it": of_ours}, {"it": of_peer}) == told


def test_missing_name():
    from compare_api import compare

    assert compare({}, {"it": told_of(peer)}) == ["it is not there"]


def test_every_name_of_ours_is_told():
    from api import MODULES, surface

    found = surface()
    for module in MODULES:
        names = [it for it in module.__all__ if not inspect.ismodule(getattr(module, it))]
        assert {f"{module.__name__}.{name}" for name in names} <= set(found)


def test_known_differences_have_reasons():
    from known_api import KNOWN_API

    assert all(KNOWN_API.values())
