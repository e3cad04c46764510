"""What may explain a difference, and the phrases that messages must keep."""

ENTRIES = {
    "tree_equal": "`tree_equal` holds JAX and NumPy arrays unequal by default",
    "inexact": "`is_inexact_array` is False for NumPy arrays and scalars",
    "array_like": "`is_array_like` answers whether `jnp.array` accepts the value",
    "spelling": "`bias=` and `deterministic=` are accepted without a warning",
    "static": "static values are told apart by type and value",
    "quiet": "a NumPy scalar in a static field warns of nothing",
    "wrong": "where the peer is silently wrong, ours is right",
    "beyond": "what the peer refuses, or stumbles over by accident, ours does",
    "refused": "a mistake that the peer meets late, or with an odd error, is refused by name",
    "private": "the classes behind methods and transformed functions have parts of their own",
}

PHRASES = [
    "was not initialized.",
    "Cannot assign methods in __init__",
    "A JAX array is being set as static!",
    "Possibly assigning a JAX-transformed callable as an attribute",
    "`__init__` method and a `__post_init__`",
    "deprecated",
    "abstract method",
    "abstract attributes",
    "abstract class attributes",
    "unsubscripted",
    "cannot have value",
    "Functions wrapped with",
    "can only be traced",
    "Error at leaf with path",
    "Deserialised leaf at path",
    "Every node being shared together",
]


def each(topic: str, names: list[str], entry: str, why: str) -> dict[str, tuple[str, str]]:
    """Explain several cases of a topic by one entry and one sentence."""
    return {f"{topic}[{name}]": (entry, why) for name in names}
