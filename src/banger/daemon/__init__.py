"""The per-user daemon: the only asyncio program, and the only place that knows several rooms."""
