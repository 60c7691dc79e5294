"""A process that hands freed memory back to the system at every step to one that keeps it for the next step."""

import ctypes
import os
import sys

TRIM, LARGE = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h
KEPT = 2**28  # bytes of freed memory that are kept at most
BORROWED = 2**25  # bytes from which on a block is asked of the system anew each time; the most that glibc takes


def keep_freed_memory() -> bool:
    """Ask the C library to keep freed memory, as a step frees and wants the same blocks again; whether it does.

    Each page that was handed back costs a fault when it is wanted again. Only glibc is asked, and only where its user
    has not set its malloc by the environment.
    """
    told = "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if not sys.platform.startswith("linux") or told or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    ask = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries lack it
    return ask is not None and bool(ask(TRIM, KEPT)) and bool(ask(LARGE, BORROWED))
