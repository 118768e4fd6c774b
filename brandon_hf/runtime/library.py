"""The engine's shared library and its C interface (engine/brandon.h, engine/platform.h)."""

import ctypes
import functools
import importlib.util
from ctypes import POINTER, c_char_p, c_float, c_int, c_int32, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p

REMEDY = "install a C compiler (Debian: apt install gcc), then brandon-hf again"
READ_FAILED, ARENA_TOO_SMALL, OPTION, BUFFER_TOO_SMALL = 1, 40, 41, 44  # of bt_status
KV = ("float32", "float16", "int8")
WEIGHTS = ("resident", "in_place", "streamed")
KERNELS = ("best", "portable", "avx2", "avx512", "mmi")


class Options(ctypes.Structure):
    """`bt_options`."""

    _fields_ = (
        *((name, c_uint32) for name in ("context", "batch", "longest_word")),
        *((name, c_int) for name in ("kv", "weights", "kernel", "skip_checks")),
    )


class Info(ctypes.Structure):
    """`bt_info`."""

    _fields_ = (
        *((name, c_uint32) for name in ("vocab", "width", "feed_forward", "layers", "unique_blocks", "block_repeat")),
        *((name, c_uint32) for name in ("loops", "heads", "kv_heads", "head_size", "registers", "context", "features")),
        ("weight_bits", c_uint32),
        *((name, c_int32) for name in ("bos", "eos", "pad", "end_of_turn")),
        *((name, c_int) for name in ("add_bos", "chat", "kernel")),
        *((f"{name}_bytes", c_size_t) for name in ("arena", "weight", "kv", "tokenizer", "activation")),
    )


class Sampling(ctypes.Structure):
    """`bt_sampling`."""

    _fields_ = (
        ("repetition_penalty", c_float),
        ("no_repeat_ngram", c_uint32),
        ("temperature", c_float),
        ("top_k", c_uint32),
        ("top_p", c_float),
        ("min_p", c_float),
        ("seed", c_uint64),
    )


# name: (result, *arguments)
_FUNCTIONS = {
    "bt_message": (c_char_p, c_int),
    "bt_host_sizes": (c_uint32,),
    "bt_host_open": (c_int, POINTER(c_void_p), c_char_p, POINTER(Options)),
    "bt_host_close": (None, c_void_p),
    "bt_host_engine": (c_void_p, c_void_p),
    "bt_get_info": (POINTER(Info), c_void_p),
    "bt_eval": (c_int, c_void_p, POINTER(c_int32), c_uint32),
    "bt_score": (c_int, c_void_p, POINTER(c_int32), c_uint32, POINTER(c_float), POINTER(c_uint8)),
    "bt_logits": (POINTER(c_float), c_void_p),
    "bt_position": (c_uint32, c_void_p),
    "bt_rewind": (c_int, c_void_p, c_uint32),
    "bt_encode": (c_int, c_void_p, c_char_p, c_size_t, c_int, POINTER(c_int32), c_uint32, POINTER(c_uint32)),
    "bt_decode_next": (c_int, c_void_p, c_int32, c_int, POINTER(c_int), c_char_p, c_uint32, POINTER(c_uint32)),
    "bt_is_stop": (c_int, c_void_p, c_int32),
    "bt_chat": (
        *(c_int, c_void_p, c_char_p, c_char_p, c_size_t),
        *(c_int, POINTER(c_int32), c_uint32, POINTER(c_uint32)),
    ),
    "bt_set_sampling": (c_int, c_void_p, POINTER(Sampling)),
    "bt_sample": (c_int, c_void_p, POINTER(c_int32)),
}


@functools.cache
def load() -> ctypes.CDLL:
    """The library that was built when this package was installed.

    Raises:
        OSError: There is none, or it cannot be loaded here; the message says what to do.
    """
    found = importlib.util.find_spec("brandon_hf.runtime._engine")
    if found is None or found.origin is None:
        raise OSError(f"the engine was not built when brandon-hf was installed: {REMEDY}")
    try:
        library = ctypes.CDLL(found.origin, use_errno=True)
        for name, (result, *arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        sizes = library.bt_host_sizes()
    except (OSError, AttributeError) as error:
        raise OSError(f"the engine cannot be loaded ({error}): {REMEDY}") from error
    if sizes != ctypes.sizeof(Options) << 20 | ctypes.sizeof(Info) << 8 | ctypes.sizeof(Sampling):
        raise OSError(f"{found.origin} is of another version than brandon_hf.runtime: {REMEDY}")
    return library
