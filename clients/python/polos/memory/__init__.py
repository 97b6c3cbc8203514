"""Module paths of the documentation; everything in here is defined elsewhere, or comes later."""
