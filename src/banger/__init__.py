"""banger: disposable Linux machines for developers and their coding agents."""

__version__ = "0.1.0"
