"""Rules by which old files, and those of other libraries, keep loading."""

from eqx_filter.migrations import (
    Rule,
    convert,
    copy,
    default,
    drop,
    join,
    migrate,
    rename,
    reverse,
    split,
    stack,
    transpose,
    unstack,
)

__all__ = [
    "Rule",
    "convert",
    "copy",
    "default",
    "drop",
    "join",
    "migrate",
    "rename",
    "reverse",
    "split",
    "stack",
    "transpose",
    "unstack",
]
