"""What the user can set once: the configuration file, and the defaults of a VM.

Here because both sides need it: the daemon acts by it, the command line explains and checks it without a daemon.
"""
