"""The contract on the daemon's socket: messages, framing, and the blocking client of the command line.

Standard library only: every command pays for what is imported here.
"""
