"""`python -m brandon_hf` is the command `brandon`, for launchers: `torchrun --nproc_per_node 2 -m brandon_hf run`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
