"""Rise and fall of slow actuators."""
