"""What a run would send, found by playing its own plan on the simulated bench: tables, limits, time, data; no instrument is touched."""
