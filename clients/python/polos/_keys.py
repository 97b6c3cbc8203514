"""Keys of steps, and those that this package uses beside them."""

from __future__ import annotations

KEY_BYTES_MAX = 512
OWN_PREFIX = "polos."
INITIAL_STATE = "polos.initial_state"
