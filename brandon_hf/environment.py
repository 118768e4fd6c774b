"""What something was made with: command, versions, hardware, no folder of this machine; and what suits the hardware."""

import ctypes
import os
import platform
import re
import shlex
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "transformers", "accelerate", "trl", "peft", "datasets", "tokenizers", "brandon-hf")


def environment(*more: str, processes: int = 1) -> dict[str, Any]:
    """The command of this process, versions of `PACKAGES` and `more`, device, processor, threads and cores."""
    return {
        "command": _command(processes),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in (*PACKAGES, *more)},
        "device": device_name(),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "cores": os.cpu_count(),
    }


def relative(path: str) -> str:
    """An absolute path as seen from the working directory, or its last two parts if it lies elsewhere."""
    if not Path(path).is_absolute():
        return path
    below = os.path.relpath(path)
    return str(Path("...", *Path(path).parts[-2:])) if below.startswith("..") else below


def device_name(device: str | None = None) -> str:
    """The name of a CUDA device, otherwise CPU or the kind of accelerator; by default of what computes here."""
    found = torch.device(device) if device else torch.accelerator.current_accelerator() or torch.device("cpu")
    if found.type == "cuda":
        return torch.cuda.get_device_name(found)
    return "CPU" if found.type == "cpu" else found.type


def has_bf16() -> bool:
    """Whether this machine multiplies bf16 matrices in hardware, faster than float32 ones.

    Of CPUs those with AMX do, and AMD's with AVX-512 BF16. Intel's instructions of that name, where a virtual machine
    hides AMX, are slower than float32 (docs/decisions.md has the figures).
    """
    if torch.accelerator.is_available():
        return bool(torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False))
    if torch.cpu._is_amx_tile_supported():
        return True
    return bool(torch.cpu._is_avx512_bf16_supported()) and "AuthenticAMD" in _cpu_info()


def keep_freed_memory() -> bool:
    """Have the C library keep what is freed instead of giving it back: for training on a CPU.

    A step allocates and frees the same hundreds of megabytes every time. glibc returns large pieces to the system at
    once and gets them back as pages to be filled with zeros, one fault each, which took a seventh of the time of an
    uncompiled step on a virtual machine (docs/decisions.md). Does nothing where the environment decides (mallopt(3)),
    or without glibc.

    Returns:
        Whether it was set.
    """
    stated = {f"MALLOC_{name}_" for name in ("MMAP_MAX", "MMAP_THRESHOLD", "TOP_PAD", "TRIM_THRESHOLD")}
    if stated & os.environ.keys() or "GLIBC_TUNABLES" in os.environ or platform.libc_ver()[0] != "glibc":
        return False
    m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4  # malloc.h, mallopt(3)
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((m_mmap_max, 0), (m_trim_threshold, -1), (m_top_pad, 64 << 20))
    return {mallopt(parameter, value) for parameter, value in settings} == {1}


def processor() -> str:
    """The name of the processor."""
    found = re.search(r"model name\s*: (.+)", _cpu_info())
    return found[1].strip() if found else platform.processor()


def _cpu_info() -> str:
    """What Linux says of the processor; nothing elsewhere."""
    path = Path("/proc/cpuinfo")
    return path.read_text("utf-8", errors="replace") if path.is_file() else ""


def _command(processes: int) -> str:
    """The command line of this process, launcher included."""
    arguments = [_without_paths(argument) for argument in sys.argv[1:]]
    called = Path(sys.argv[0])
    if called.name == "brandon":
        return shlex.join(["brandon", *arguments])
    launcher = ["python"] if processes == 1 else ["torchrun", "--nproc_per_node", str(processes)]
    package = (called.parent.name, called.name) == ("brandon_hf", "__main__.py")
    return shlex.join([*launcher, *(["-m", "brandon_hf"] if package else [relative(sys.argv[0])]), *arguments])


def _without_paths(argument: str) -> str:
    """`argument`, with an absolute path in it, alone or after `=`, made relative, and no credentials in a URL."""
    if "://" in argument:
        return re.sub(r"://[^/\s@]*@", "://", argument).partition("?")[0]
    name, equals, value = argument.rpartition("=")
    return f"{name}{equals}{relative(value)}"
