"""VMMs: one contract, the backends behind it, and choosing one by trying."""
