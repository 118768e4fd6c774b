"""The published flagship, all three phases and its teacher, on one device or many.

    python scripts/train_10m_optimal.py
    torchrun --nproc_per_node 8 scripts/train_10m_optimal.py
    accelerate launch scripts/train_10m_optimal.py

It is `brandon run --recipe 10m_optimal`; options and overrides (`pretrain.max_steps=100`, `--name`) are the same, and
the same command continues a run that was stopped.
"""

import sys

from brandon_hf.cli import main

if __name__ == "__main__":
    sys.exit(main(["run", "--recipe", "10m_optimal", *sys.argv[1:]]))
