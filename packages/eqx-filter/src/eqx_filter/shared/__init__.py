"""What all other folders share: kinds of leaves, packed trees, names in messages, JAX's words."""
