"""Use cases, one a file. Only here do rooms meet."""
