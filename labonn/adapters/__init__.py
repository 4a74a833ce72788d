"""A bench for other programs' run engines: Bluesky devices (bluesky_devices), QCoDeS instruments (qcodes_bench)."""
