"""Bugs that queues_property_test must catch. The form: //bazel:mutants.bzl."""

MUTANTS = {
    "free_host_not_noticed": ("A host that has room again is given nothing.", {
        "blocked_by, waiter->task.run)) { lane->need->is_blocked = false;":
            "blocked_by, waiter->task.run)) { (void)lane;",
    }),
    "key_limit_one_more": ("A key runs one more than its limit.", {
        "key->running < limit": "key->running <= limit",
    }),
    "lost_commit_keeps_place": (
        "A run whose commit was lost keeps the place it took in that round.",
        {
            "} else { note(partition, run); }": "}",
        },
    ),
    "priority_reversed": ("Within a key the lower priority goes first.", {
        "left->priority > right->priority": "left->priority < right->priority",
    }),
    "starts_forgotten": ("A start is not written, so a restart forgets it.", {
        "limits_put_start(partition, place.queue, limits.rate, number, partition->now_ms);":
            "(void)number;",
    }),
}
