"""What checks raise."""


class EquinoxRuntimeError(RuntimeError):
    """A check failed while a program ran."""

    __module__ = "eqx_filter"


class EquinoxTracetimeError(EquinoxRuntimeError):
    """A check failed while a program was traced, its condition being known by then."""

    __module__ = "eqx_filter"
