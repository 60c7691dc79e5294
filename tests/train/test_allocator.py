"""Freed memory is kept for the next step, unless the user has said otherwise."""

import platform
import resource

import pytest
import torch

from trainwell.train.allocator import keep_freed_memory

GLIBC = platform.libc_ver()[0] == "glibc"


def use() -> None:
    """Three blocks of 16 MB, written and freed together."""
    blocks = [torch.empty(2**24, dtype=torch.uint8).fill_(1) for _ in range(3)]
    del blocks


@pytest.mark.skipif(not GLIBC, reason="only glibc's malloc is asked")
def test_freed_memory_is_not_asked_of_the_system_again(monkeypatch):
    for name in ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_ARENA_MAX"):
        monkeypatch.delenv(name, raising=False)
    assert keep_freed_memory()
    use()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        use()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 3 * 2**24 // 4096  # fewer than one round's


@pytest.mark.parametrize(
    "setting", [("MALLOC_TRIM_THRESHOLD_", "1"), ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=1")]
)
def test_what_the_user_set_stays(monkeypatch, setting):
    monkeypatch.setenv(*setting)
    assert not keep_freed_memory()
