"""Records on disk: the store, its index, and how results become tensors and JSON."""

from .store import DamagedNode, Store, StoreError

__all__ = ["DamagedNode", "Store", "StoreError"]
