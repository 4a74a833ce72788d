"""The dashboard: run records and guardians as a web page of this computer.

It only reads run folders: a connection to a record lasts as long as one question, so that no file is kept open, no log of SQLite's is kept
from being emptied, and a run that ends can close its record. What was read stays thinned in memory (towers.py) and is read on from there.
"""
