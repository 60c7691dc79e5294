"""A wish such as "auto" to the number format that a training computes in."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal

import torch

Name = Literal["auto", "float32", "bfloat16"]


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the processor or GPU multiplies bfloat16 in hardware (AVX-512 BF16, AMX; CUDA from Ampere)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        tests = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
        return any(test() for test in tests if test is not None)
    return False


def choose(name: Name, device: torch.device) -> torch.dtype:
    """The format for matrix products: bfloat16 for "auto" where hardware has it, else float32."""
    if name == "auto":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def autocast(dtype: torch.dtype, device: torch.device) -> Callable[[], AbstractContextManager]:
    """What makes the context to run forward passes in; weights and optimizer stay float32."""
    if dtype == torch.float32:
        return contextlib.nullcontext
    return lambda: torch.autocast(device.type, dtype=dtype)
