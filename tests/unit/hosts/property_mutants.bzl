"""Bugs that property_test must catch. The form: //bazel:mutants.bzl."""

MUTANTS = {
    "acknowledges_early": ("Messages that came are acknowledged before they are dealt with.", {
        "window->dealt++;": "window->dealt = window->received;",
    }),
    "adopts_in_silence": ("That a task has changed over to another session is not told.", {
        "is_adopted = true;": "is_adopted = false;",
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
        """seq = outbox->acknowledged + 1; seq <= outbox->sent; seq++) { struct payload *payload =
        outbox_get(outbox, seq); payload_ref(payload);""":
            """seq = outbox->acknowledged + 2; seq <= outbox->sent; seq++) { struct payload
            *payload = outbox_get(outbox, seq); payload_ref(payload);""",
    }),
    "takes_repetitions": ("A message that was sent again is taken as a new one.", {
        "return WINDOW_REPEATED;": "return WINDOW_NEW;",
    }),
    "tells_only_the_connected": (
        "A task's host counts only while it is connected, not when its session lives on.",
        {
            "|| entry->session->is_expected": "|| entry->session->link == NULL",
        },
    ),
}
