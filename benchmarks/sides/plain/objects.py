"""Plain JAX: a bare class stands where others have a Module."""

from sides.plain import side
from sides.plain.models import Two
from sides.settings import X


@side.row
def build():
    return lambda: Two(X, X)


@side.row
def method():
    two = Two(X, X)
    return lambda: two.method(1)
