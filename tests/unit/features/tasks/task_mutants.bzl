"""Planted bugs that tasks_test must find; see //bazel:mutants.bzl for what a row says."""

MUTANTS = {
    "hosts_judged_with_a_full_inbox": ("A host is judged before all that it said was heard.", {
        "hearing_heard(&tasks->hearing, partition->requests.handled, waiting)":
            "hearing_heard(&tasks->hearing, partition->requests.handled, 0 * waiting)",
    }),
    "hosts_pay_for_the_servers_sleep": ("The time in which the server slept is the hosts'.", {
        "gap < hearing->heartbeat_ms ? gap : hearing->heartbeat_ms": "gap",
    }),
}
