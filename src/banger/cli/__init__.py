"""The command line: one table of commands, one file for each, one renderer.

Synchronous and lazy: a command imports what it needs when it runs, and `--help` imports next to nothing.
"""
