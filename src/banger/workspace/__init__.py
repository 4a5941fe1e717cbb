"""A git repository into a guest, and a reviewed patch out of it."""
