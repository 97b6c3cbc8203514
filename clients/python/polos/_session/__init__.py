"""A host's side of the host protocol."""
