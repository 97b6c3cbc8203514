"""Planted bugs that triggers_test must find; see //bazel:mutants.bzl for what a row says."""

MUTANTS = {
    "unread_triggers_lost": ("Triggers that could not be read anew are gone.", {
        "round_doubt(((struct triggers *)self)->partition, read);": "(void)self;",
    }),
}
