"""``python -m omruntime`` is the command ``omruntime``."""

from omruntime.cli import main

if __name__ == "__main__":
    main()
