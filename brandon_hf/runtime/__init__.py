"""Runs blobs, the files of `brandon export`, in the C engine of `engine/`."""

from .binding import Engine
from .info import EngineInfo

__all__ = ["Engine", "EngineInfo"]
