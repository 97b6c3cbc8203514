"""Bugs that property_test must catch. The form: //bazel:mutants.bzl."""

MUTANTS = {
    "drops_missing_times": ("Times that the clock skips are left out.", {
        "at == span->start_s &&": "false &&",
    }),
    "has_a_fifth_week": ("The last week of a month may lie a day beyond its end.", {
        "day >= calendar_month_days(year, change->month)":
            "day > calendar_month_days(year, change->month)",
    }),
    "loses_sunday": ("Sunday as the seventh day is no Sunday.", {
        "weekdays | weekdays >> SUNDAY_AGAIN": "weekdays",
    }),
    "moves_open_hours": ("Times the clock skips are made up for even when every hour is meant.", {
        "&& !cron->hours_open &&": "&&",
    }),
    "repeats_named_times": ("Named times that the clock shows twice come twice.", {
        "named && wall_s < shown_s": "named && false",
    }),
    "skips_open_minutes": (
        "Times the clock shows twice come once even when every minute is meant.",
        {
            "!cron->hours_open && !cron->minutes_open": "!cron->hours_open",
        },
    ),
    "stands_still": ("The next time may be the one that was asked from.", {
        "(after_ms / MS) + 1": "(after_ms / MS)",
    }),
    "wants_both_days": ("A day of the month and one of the week are both needed, not either.", {
        "of_month || of_week :": "of_month && of_week :",
    }),
}
