"""One file for each command: what it takes, what its help says, what it does."""
