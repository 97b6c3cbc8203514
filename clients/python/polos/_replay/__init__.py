"""What code is given of its run's facts, and when."""
