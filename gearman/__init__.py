"""Gearman in Python: job server, clients, workers and command-line tools."""

from pathlib import Path

__version__ = "0.1.0"

# In a bare checkout the queue plugins lie beside this package, not in it; once
# installed they are gearman.queues.
_here = Path(__file__).resolve().parent
if not (_here / "queues").is_dir():
    __path__.append(str(_here.parent))
