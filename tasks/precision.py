"""Arithmetic in bf16 where the hardware has instructions for it; weights stay in float32.

    with precision.mixed():
        hidden = model.model(input_ids)

Without such instructions bf16 is slower than float32, and nothing changes.
"""

import torch


def has_bf16() -> bool:
    """Whether this machine multiplies bf16 matrices faster than float32 ones."""
    if torch.cuda.is_available():
        # Older cards have it in software alone.
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def mixed() -> torch.autocast:
    """Matrix products in bf16 within."""
    return torch.autocast(device().type, torch.bfloat16, enabled=has_bf16())


def exact() -> torch.autocast:
    """Float32 within, also inside `mixed`: 8 bits of mantissa do not tell close logits apart."""
    return torch.autocast(device().type, enabled=False)


def device() -> torch.device:
    """Where models run: on the GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
