"""Where things are kept: database, key store, packs."""
