"""What goes on beside runs: events, schedules."""
