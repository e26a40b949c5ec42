"""What somebody publishes of a store, and what anybody can check of it."""

from .bundle import Bundled, Verified, bundle, verify

__all__ = ["Bundled", "Verified", "bundle", "verify"]
