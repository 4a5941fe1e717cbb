"""What the user may set once: the configuration file, and what a VM gets when nothing is said.

Here because both sides need it: the daemon acts by it, the command line explains and checks it without a daemon.
"""
