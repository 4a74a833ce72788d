"""Acme LS8 current sources for labonn: a driver, and the emulator that it is tested against."""
