"""What the daemon remembers: one SQLite file, one writer."""
