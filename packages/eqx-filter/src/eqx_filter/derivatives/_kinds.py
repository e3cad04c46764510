"""What is said of a loop that cannot be differentiated in the way that was asked for."""

_BACKWARDS = (
    "A loop of kind='lax' is differentiated forwards alone, and one of kind='checkpointed' "
    "backwards alone, and once. Where it is a `filter_while_loop`, or a loop of "
    "`eqx_filter.loops`, pass kind='checkpointed' with `checkpoints` or `max_steps`; or "
    "kind='bounded' with `max_steps`, to differentiate it any way and any number of times."
)
_FORWARDS = (
    "A loop of kind='checkpointed' is such a function: it is differentiated backwards alone. Pass "
    "kind='bounded', with `max_steps` where it is a `filter_while_loop`, to differentiate it any "
    "way; or kind='lax' for forwards alone, and for a scan any way."
)
_NOTES = {
    "Reverse-mode differentiation does not work for lax.while_loop": _BACKWARDS,
    "can't apply forward-mode autodiff (jvp) to a custom_vjp function": _FORWARDS,
}


def note_kinds(error: Exception) -> None:
    """Add to an error of JAX, once, which kind of loop is differentiated how."""
    text = str(error)
    for phrase, note in _NOTES.items():
        if phrase in text and note not in getattr(error, "__notes__", ()):
            error.add_note(note)
