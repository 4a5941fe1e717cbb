"""The daemon's database: one SQLite file, one writer."""
