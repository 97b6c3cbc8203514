"""Bugs planted in when a partition wants its next round. The form: //bazel:mutants.bzl."""

MUTANTS = {
    "due_of_schedules": ("The next tick asks for no round.", {
        "return schedules->is_unread ? schedules->read_again_ms : schedules->next_ms;":
            "return schedules->is_unread ? schedules->read_again_ms : 0;",
    }),
    "due_of_callers": ("Who waits for a while is answered a while later.", {
        "return first == NULL ? 0 : wait_of(first)->due_ms;":
            "return first == NULL ? 0 : wait_of(first)->due_ms + 1000;",
    }),
    "due_of_owed": ("What is owed asks for no round.", {
        "return owings->read_again_ms != 0 ? owings->read_again_ms : owings->partition->now_ms;":
            "return owings->read_again_ms;",
    }),
    "due_of_ready_tasks": ("A task that is ready beside a free host asks for no round.", {
        "if (tasks->has_ready || tasks->lost_count > 0 ||": "if (tasks->lost_count > 0 ||",
    }),
    "due_of_lost_tasks": ("Tasks that a host lost ask for no round.", {
        "if (tasks->has_ready || tasks->lost_count > 0 ||": "if (tasks->has_ready ||",
    }),
    "due_of_silent_hosts": ("A host's silence asks for a round too late.", {
        "return partition->now_ms + (left < heartbeat_ms ? left : heartbeat_ms);":
            "return partition->now_ms + 3 * heartbeat_ms + 3 * left;",
    }),
    "due_of_queues": ("A queue that has room asks for no round.", {
        "if (order->busy_first != NULL) { return now_ms; }":
            "if (order->busy_first != NULL) { return now_ms == 0; }",
    }),
    "due_of_rates": ("A queue's rate asks for a round too late.", {
        "due_ms = due_ms == 0 || queue->due_ms < due_ms ? queue->due_ms : due_ms;":
            "due_ms = due_ms == 0 || queue->due_ms > due_ms ? queue->due_ms : due_ms;",
    }),
    "due_of_topics": ("Topics with new events ask for no round.", {
        "return topics->any_new ? read_ms : 0;": "return 0;",
    }),
    "due_of_lists": ("Rows for lists that are still to be made ask for no round.", {
        "return is_over ? 0 : due_ms;": "return is_over && due_ms == 0;",
    }),
    "due_of_complete_lists": ("Rows for lists ask for rounds when all are made.", {
        "return is_over ? 0 : due_ms;": "return due_ms == 0 && is_over ? 0 : due_ms;",
    }),
    "due_of_histories": ("A run whose history is full asks for no round.", {
        "return histories->full_count > 0 ? histories->partition->now_ms : 0;":
            "return histories == NULL;",
    }),
    "due_of_triggers": ("A batch asks for a round when the last trigger's is due.", {
        "if (trigger->due_ms != 0 && (due_ms == 0 || trigger->due_ms < due_ms)) {":
            "if (trigger->due_ms != 0 && (due_ms == 0 || trigger->due_ms > due_ms)) {",
    }),
    "due_of_no_versions": ("Versions ask for rounds when none may go.", {
        "return versions->called_count > 0 ? due_ms : 0;": "return due_ms;",
    }),
    "due_of_alarms": ("The alarms of sleepers ask for a round too late.", {
        "return look_ms == 0 ? partition->now_ms : look_ms;":
            "return look_ms == 0 ? partition->now_ms : look_ms + 5000;",
    }),
    "due_of_unread_runs": ("A run that could not be read asks for no round.", {
        "due = earlier(due, unread_due_ms(partition->runs.unread));": "",
    }),
    "due_of_recovery": ("Runs that are to recover ask for no round.", {
        "due = earlier(due, partition->runs.recover_at_ms);": "",
    }),
    "due_of_timers": ("Deadlines ask for no round.", {
        "uint64_t due = timers_next_ms(partition->timers);": "uint64_t due = 0;",
    }),
}
