"""The program `banger`, also `python -m banger`."""

import gc
import os
import sys


def main() -> None:
    """Run the command line and end the process.

    Everything is closed and flushed by then, so the interpreter is not taken apart first; and imports make no garbage
    that is worth collecting. Each of the two would cost a tenth of what a short command takes.
    """
    gc.disable()
    try:
        from banger.cli.main import main as run

        status = run(sys.argv[1:])
    except KeyboardInterrupt:
        status = 130
    os._exit(status)


if __name__ == "__main__":
    main()
