"""The load generator's C part, compiled on first use into ``build/bench``."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "build" / "bench"

_U64, _INT, _HANDLE, _BYTES = ctypes.c_uint64, ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p
_TEXTS, _ORDER = ctypes.POINTER(_BYTES), ctypes.POINTER(ctypes.c_uint32)


class Sample(ctypes.Structure):
    """A message of the sampled client: sequence number, ns when it was sent and received."""

    _fields_ = (("number", _U64), ("sent", _U64), ("received", _U64))


_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "receiver_new": (_HANDLE, (_INT, _U64, _U64)),
    "receiver_free": (None, (_HANDLE,)),
    "receiver_choose": (None, (_HANDLE, _INT)),
    "receiver_add": (None, (_HANDLE, _INT, _INT, _INT, _BYTES, _INT)),
    "receiver_run": (None, (_HANDLE,)),
    "receiver_sample": (None, (_HANDLE,)),
    "receiver_drain": (None, (_HANDLE, _INT, _U64)),
    "receiver_stop": (None, (_HANDLE,)),
    "receiver_forget": (None, (_HANDLE,)),
    "receiver_messages": (_U64, (_HANDLE,)),
    "receiver_last": (_U64, (_HANDLE,)),
    "receiver_taken": (_U64, (_HANDLE,)),
    "receiver_recorded": (_U64, (_HANDLE,)),
    "receiver_samples": (ctypes.POINTER(Sample), (_HANDLE,)),
    "receiver_record": (_HANDLE, (_HANDLE,)),
    "client_messages": (_U64, (_HANDLE, _INT)),
    "client_ended": (_INT, (_HANDLE, _INT)),
    "client_close_code": (_INT, (_HANDLE, _INT)),
    "publisher_new": (_HANDLE, (_INT, _INT, _TEXTS, _TEXTS, _ORDER, ctypes.c_uint32)),
    "publisher_free": (None, (_HANDLE,)),
    "publisher_run": (_U64, (_HANDLE, _HANDLE, ctypes.c_double, _U64, _U64, _U64)),
    "publisher_one": (_INT, (_HANDLE, _U64, _U64)),
    "publisher_stop": (None, (_HANDLE,)),
    "publisher_first": (_U64, (_HANDLE,)),
    "publisher_last": (_U64, (_HANDLE,)),
    "publisher_late": (_U64, (_HANDLE,)),
    "publisher_stalls": (_U64, (_HANDLE,)),
    "floor_run": (_U64, (ctypes.POINTER(_INT), _INT, _BYTES, _INT, _INT, _U64)),
}


@cache
def library() -> Any:
    """The functions of ``loadgen.c``. Ends the program where there is no C compiler."""
    source = HERE / "loadgen.c"
    name = f"loadgen-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}.so"
    built = OUTPUT / name
    if not built.exists():
        _compile(source, built)
    loaded = ctypes.CDLL(str(built))
    for function, (result, arguments) in _SIGNATURES.items():
        getattr(loaded, function).restype = result
        getattr(loaded, function).argtypes = arguments
    return loaded


def _compile(source: Path, built: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        sys.exit("the load generator needs a C compiler named cc (on Debian: apt-get install gcc libc6-dev)")
    built.parent.mkdir(parents=True, exist_ok=True)
    fresh = built.with_suffix(".new")
    subprocess.run(
        [compiler, "-O2", "-Wall", "-shared", "-fPIC", "-pthread", "-o", fresh, source],
        check=True,
    )
    fresh.rename(built)
