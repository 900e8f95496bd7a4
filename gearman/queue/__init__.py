"""The interface of queue plugins, which store background jobs so that none is lost.

A plugin is a class derived from `Queue`. Plugins of this package are the
classes `Queue` of the packages `gearman.queues.NAME`; those of other packages are
found by the entry point group `gearman.queues`. A plugin is plain blocking code: the
server calls it from one thread at a time, which is not the event loop's.

The server keeps every job in memory as well, so a plugin reads its store only at the
start. After that the server only calls `commit`, with all changes since the last
call: many jobs then cost one transaction, and one wait for the disk.

docs/queues.md has a complete example and the rules.
"""

from ..text import shown as shown
from .inbox import Inbox as Inbox
from .inbox import InboxRow as InboxRow
from .jobs import HIGH as HIGH
from .jobs import LOW as LOW
from .jobs import MAX_EXTRA as MAX_EXTRA
from .jobs import NORMAL as NORMAL
from .jobs import Page as Page
from .jobs import StoredJob as StoredJob
from .jobs import Unreadable as Unreadable
from .jobs import check as check
from .loading import ALIASES as ALIASES
from .loading import NAMES as NAMES
from .loading import load as load
from .loading import require as require
from .options import HasOptions as HasOptions
from .options import Option as Option
from .options import plugin_arguments as plugin_arguments
from .plugin import Queue as Queue
from .plugin import replayed as replayed
from .register import NOBODY as NOBODY
from .register import SHARDS as SHARDS
from .register import SPARE as SPARE
from .register import Claim as Claim
from .register import Cluster as Cluster
from .register import Member as Member
from .register import Register as Register
from .register import Roll as Roll
from .register import Shard as Shard
