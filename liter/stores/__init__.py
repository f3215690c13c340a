"""Stores: where layers keep what several calls, processes or machines share."""

from ._account import Account as Account
from ._account import Balance as Balance
from ._account import Reserved as Reserved
from ._ledger import LedgerRow as LedgerRow
from ._ledger import LedgerStore as LedgerStore
from ._memory import MemoryStore as MemoryStore
from ._redis import RedisStore as RedisStore
from ._sqlite import SqliteStore as SqliteStore
from ._sqlite_ledger import SqliteLedger as SqliteLedger
from ._store import Bucket as Bucket
from ._store import Store as Store
from ._store import StoreError as StoreError
from ._store import Taken as Taken
