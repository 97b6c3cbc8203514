"""What goes on beside runs: events, queues, schedules."""
