"""Bugs that waits_test must catch. The form: //bazel:mutants.bzl."""

MUTANTS = {
    "not_woken_after_a_failed_read": ("A read that fails is not tried again for a topic.", {
        "topic->is_new = may_pass;": "topic->is_new = false;",
    }),
    "alarm_looked_for_late": (
        "An alarm that leaves memory does not bring the next look at the alarms forward.",
        {
            "alarms->look_ms = run->alarm_ms;": "(void)alarms;",
        },
    ),
    "alarm_passed_over": (
        "An alarm that leaves memory before the row that was read last is passed over.",
        {
            "alarms->from = row;": "(void)row;",
        },
    ),
    "all_woken_in_a_round": ("One round wakes everybody who awaits a topic.", {
        "WAKES_MAX = 1024": "WAKES_MAX = 9999",
    }),
    "children_from_the_start": (
        "The outcomes of a run's children are read from the start of its journal.",
        {
            "cursor.start = told->since;": "cursor.start = 1;",
        },
    ),
    "event_while_waking_lost": (
        "An event that comes while a topic wakes its waits is not looked at.",
        {
            "topic->is_new = true;": "topic->is_new = !topic->is_waking;",
        },
    ),
    "children_by_their_end": ("Children are told of in the order in which they ended.", {
        "return (a > b) - (a < b);": "return (a < b) - (a > b);",
    }),
    "event_read_for_all": ("An event is read for all who await another type in its topic.", {
        "uint64_t seen = topic->wake_from == 0 ? 0 : topic->wake_from - 1;": "uint64_t seen = 0;",
    }),
    "request_carried_out_again": ("A step request that a task repeats is carried out again.", {
        "keys->count > 0": "keys->count > 9999",
    }),
    "request_reads_the_journal": ("Each step request reads the journal, not the keys in memory.", {
        "return !keys->is_complete": "return keys->is_complete",
    }),
    "looked_at_all_at_once": ("All that is in a topic is looked at in one round.", {
        "LOOKS_MAX = 16 * 1024": "LOOKS_MAX = 16 * 1024 * 1024",
    }),
    "looked_not_noted": ("How far all have looked at a topic is not noted.", {
        "note_looked(partition, topic);": "",
    }),
    "apart_holds_up_waits": ("A run that cannot be read holds up who awaits the same event.", {
        """topics_of(partition)->is_unsure = true; return STATUS_OK; } TRY(found);
        if (engine_effect(""": "} TRY(found); if (engine_effect(",
    }),
    "timer_stays": ("The timer of a run that leaves memory stays there.", {
        "timers_arm(partition->timers, run->state.id, 0);": "",
    }),
    "waiting_run_stays": ("A run that only waits stays in memory as if it were at work.", {
        "list_move(partition, run, true);": "list_move(partition, run, false);",
    }),
}
