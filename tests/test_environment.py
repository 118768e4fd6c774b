"""What is set for the process that trains."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_training import arguments, blocks, tiny_brandon

from brandon_hf.training import checkpoints
from brandon_hf.training.arguments import PretrainArguments
from brandon_hf.training.pretrain import PretrainTrainer

FAULTS = """
import resource, torch
from brandon_hf.environment import keep_freed_memory
print(keep_freed_memory())
torch.zeros(16 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.zeros(16 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
@pytest.mark.parametrize(("stated", "kept"), [({}, True), ({"MALLOC_TOP_PAD_": "131072"}, False)])
def test_freed_memory_is_kept_unless_the_environment_decides(stated: dict[str, str], kept: bool) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    run = subprocess.run(
        [sys.executable, "-c", FAULTS], env=environment | stated, capture_output=True, text=True, check=True
    )
    said, faults = run.stdout.split()
    assert said == str(kept)
    pages = 10 * (64 << 20) // os.sysconf("SC_PAGE_SIZE")
    if kept:  # otherwise there are as many as pages, or few huge ones, as the system decides
        assert int(faults) < pages / 2


def test_training_on_a_cpu_keeps_freed_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr(checkpoints, "keep_freed_memory", lambda: called.append(True))
    args = arguments(PretrainArguments, tmp_path, max_steps=1, warmup_steps=0, decay_steps=0, use_cpu=True)
    trainer = PretrainTrainer(tiny_brandon(), args, train_dataset=blocks(2))
    assert not called
    trainer.train()
    assert called
