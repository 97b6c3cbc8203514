"""Bugs that property_test must catch. The form: //bazel:mutants.bzl."""

MUTANTS = {
    "acknowledges_early": ("Messages that came are acknowledged before they are handled.", {
        "window->handled++;": "window->handled = window->received;",
    }),
    "claims_any_epoch": ("A host that comes back may claim a task under another epoch.", {
        "entry->held.epoch != held->epoch": "false",
    }),
    "loses_in_silence": ("The loss of a task is not told.", {
        "hosts->options.lost(hosts->options.context, &loss);": "(void)loss;",
    }),
    "overbooks": ("A host is given a task more than it has slots.", {
        "session->held.count < session->slots &&": "session->held.count <= session->slots &&",
    }),
    "resends_too_little": ("A host that comes back is not sent the first message it missed.", {
        "session->written = session->outbound.acknowledged;":
            "session->written = session->outbound.acknowledged + 1;",
    }),
    "takes_over_in_silence": ("That a task was taken over by another session is not told.", {
        "held, HOLD_TAKEN_OVER);": "held, HOLD_GIVEN);",
    }),
    "takes_repetitions": ("A message that was sent again is taken as a new one.", {
        "return WINDOW_REPEATED;": "return WINDOW_NEW;",
    }),
    "tells_only_the_connected": (
        "A task's host counts only while it is connected, not when its session lives on.",
        {
            "|| entry->session->state == SESSION_EXPECTED": "|| entry->session->link == NULL",
        },
    ),
}
