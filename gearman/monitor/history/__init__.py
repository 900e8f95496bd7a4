"""What was: points of functions in time, and who did what, in one SQLite file.

`points` says what a point has, `packing` how many of them become few bytes, `recorder`
makes them from readings, `file` stores them, `spans` reads them for charts; `archive`
is what the rest of the monitor uses, and keeps the disk out of the event loop.
"""
