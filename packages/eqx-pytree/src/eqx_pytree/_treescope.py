"""How treescope draws a Module: its fields, and what is said beside them.

Loaded when treescope asks for it, which is never needed to import.
"""

import contextlib
import contextvars
import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.tree_util as jtu

from ._fields import TRAINABLE, is_static

_seen: contextvars.ContextVar[dict[int, str] | None] = contextvars.ContextVar("seen", default=None)
"""The path of each Module and array that was drawn, by id, since the outermost Module was begun."""

_STATIC = "static"
"""The note that is no reason to unfold what treescope would fold."""


def drawn(module: Any, path: str | None, renderer: Any, kind: type) -> Any:
    """Draw a Module, as treescope asks an object to draw itself.

    Beside a field stands whether it is static, frozen (declared with `trainable=False`) or traced;
    beside what was drawn before, where that is. What has such notes is unfolded, but for the first
    of them. `kind` is the class `Module`.
    """
    from treescope import rendering_parts as parts

    outer = _seen.get()
    before = None if outer is None else _met(outer, module, path)
    children, all_notes = [], set()
    with _drawing(module, path, afresh=before is not None) as seen:
        for spec in dataclasses.fields(module):
            if spec.repr and spec.name in vars(module):
                value, at = vars(module)[spec.name], None if path is None else f"{path}.{spec.name}"
                notes = list(_notes(spec, value, at, seen, kind))
                all_notes |= {*notes}
                children.append(
                    parts.siblings_with_annotations(
                        f"{spec.name}=",
                        renderer(value, path=at),
                        extra_annotations=list(map(_comment, notes)),
                    )
                )
    opened = parts.ExpandState.EXPANDED if all_notes - {_STATIC} else None
    return parts.build_foldable_tree_node_from_children(
        prefix=parts.siblings(parts.maybe_qualified_type_name(type(module)), "("),
        children=children,
        suffix=")",
        comma_separated=True,
        path=path,
        first_line_annotation=None if before is None else _comment(before),
        expand_state=opened or parts.ExpandState.WEAKLY_COLLAPSED,
    )


@contextlib.contextmanager
def _drawing(module: Any, path: str | None, *, afresh: bool) -> Iterator[dict[int, str]]:
    """What was drawn since the outermost Module was begun.

    It begins afresh within a Module that was drawn before: that is said once, and not of all in it.
    """
    seen = _seen.get()
    if seen is None or afresh:
        seen = {}
        _met(seen, module, path)
    token = _seen.set(seen)
    try:
        yield seen
    finally:
        _seen.reset(token)


def _comment(note: str) -> Any:
    from treescope import rendering_parts as parts

    return parts.comment_color(parts.text(f"  # {note}"))


def _notes(
    spec: "dataclasses.Field[Any]", value: Any, path: str | None, seen: dict[int, str], kind: type
) -> Iterator[str]:
    """What is said beside a field."""
    if is_static(spec):
        yield _STATIC
        return
    if spec.metadata.get(TRAINABLE, True) is False:
        yield "frozen"
    leaves = jtu.tree_leaves(value, is_leaf=lambda node: isinstance(node, kind))
    if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        yield "traced"
    if isinstance(value, jax.Array):
        before = _met(seen, value, path)
        if before is not None:
            yield before


def _met(seen: dict[int, str], value: Any, path: str | None) -> str | None:
    """What is said of a Module or an array that was drawn before."""
    if id(value) not in seen:
        seen[id(value)] = (path or "").removeprefix(".")
        return None
    return f"shared: the same as `{seen[id(value)] or type(value).__name__}`"
