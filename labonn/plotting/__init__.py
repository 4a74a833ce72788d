"""Figures of runs and calibrations: functions that draw on matplotlib Axes, and what they need of a run."""
