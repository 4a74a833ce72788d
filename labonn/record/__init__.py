"""The record of a run, `record.sqlite` in its folder: what was commanded, measured and decided, step by step.

It is append-only and written by a process of its own, one transaction an entry. A run is never more than one step ahead of it: when step
N ends, step N - 1 is committed. `kill -9` of the run loses nothing that it had sent, and even that it died is written down; a power cut may
lose the last seconds (SQLite, WAL, synchronous=NORMAL), and never breaks the file. Other processes read it while it is written.
`PRAGMA user_version` is 2 (1: without the last four tables).

An *entry* is one row of `steps`: everything that was played since the entry before. Entries count from 1 through all
sessions of a run, and all that happens step by step is keyed by them, so that any number of evenly spaced points is found by number.

    sessions     one for every process that wrote: settings, command line, bench file as run, versions, calibrations, seed, host, user, pid
    endings      how a session ended, and when; none: it is under way, or its process died
    resumptions  this session went on after entry `after`: entries between `after` and `before` (both excluded) no longer count
    hardware     session, "start" or "end", port -> JSON: identity, links, limits and whose, temperatures
    steps        entry: kind (below), step (the last that was done), time (UTC), wall_s (since the entry before), bench_s (bench's clock),
                 play_s (spent in Bench.play), tables, shots, exchanges, and as JSON metrics_of, commands_of, readings_of:
                     {name: value}, {port: [tables, shots, ...]}, {port: [tables, shots, ...]}, which three views show as tables:
    metrics      entry, step, kind, name, value: of a step (loss), or of a report (a row of metrics.csv)
    commands     entry, step, port: tables, shots, rows (frames sent anew), and min, mean, max, rms of the banks that were played; of a
                 base with changes its base once and every change once; of a dither both ends
    readings     entry, step, port: tables, shots, min, mean, max, std, how many were bad (no finite number), how many saturated
    names        kind, name: which metrics there are ("step", "report"), and which ports ("command", "reading")
    histograms   entry, port: 64 counts (uint32, little-endian) from low to high; of samples, at most 10 a second
    frames       entry, port: all channels in the last shot: float32, little-endian, or, where there are more than 4,096, a byte each for
                 0 to 255 from low to high; at most 10 a second and 4 kB/s a port, and once more at the end
    events       session, entry (the last one before), time, level, text
    errors       session, entry, time, class, text, traceback
    checks       session, entry, time, name, value, low, high, passed, text: drift checks
    ranges       entry, port: low and high end of the widest range of the detectors when a histogram was made, full scale of the narrowest
    temperatures entry of a report, port: lowest, mean and highest of its channels in degC; problem: why they could not be had
    layouts      session, name -> JSON: what a map is of and where its values belong (labonn.record.layouts)
    maps         entry, name: parameters of the run (a chip's couplers, say), packed as frames are, at most 4 kB/s, and once more at the end

Of an array of more than 2,048 values a table, min, mean, max, rms, std and bad are of 2,048 of them: 16 runs of neighbours that lie evenly
over it. Counts of shots and of saturated readings are complete.

    kind "step"    one step of a training      "report"  a row of metrics, with what was played for it
         "part"    what came before the steps, or ten seconds without an entry      "end"  what came after the last
"""

from labonn.record.reading import Record, open_record

__all__ = ["Record", "open_record"]
