"""Values as JSON, classes as names, types as JSON Schema; no I/O."""
