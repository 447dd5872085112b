"""The store of consumers and keys: SQLite in a file, or PostgreSQL. It holds hashes of keys, never a key.

secret      how a key looks, and its hash              url       where a store is
keys        create, list, rotate, revoke, import       schema    its tables, and how older ones are brought up
database    what `sqlite` and `postgres` have in common
usage       what callers have used of their quotas
sync        keeps the engine's table equal to a store
"""

from tidegate.store.keys import Imported, Key, KeyStore
from tidegate.store.opening import open_store
from tidegate.store.url import DEFAULT_STORE, StoreUrl

__all__ = ["DEFAULT_STORE", "Imported", "Key", "KeyStore", "StoreUrl", "open_store"]
