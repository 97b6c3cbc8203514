"""One execution of a task's code."""
