"""What the processor could reach: the multiply-adds of its vector units at its clock.

Linux on x86 only; elsewhere nothing is known of the units.
"""

from contextlib import suppress
from pathlib import Path

BFLOAT16 = {"avx512_bf16", "amx_bf16"}  # flags of processors with products of bfloat16
AMD, ZEN_5 = "AuthenticAMD", 26  # the family in which an instruction of 512 bits takes one cycle


def description():
    """Return what Linux says of the first processor, by key; empty elsewhere."""
    text = ""
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    pairs = [line.partition(":") for line in text.partition("\n\n")[0].splitlines()]
    return {key.strip(): value.strip() for key, _, value in pairs}


def has_bfloat16(processor):
    """Return True if a described processor multiplies bfloat16 numbers."""
    return not BFLOAT16.isdisjoint(processor.get("flags", "").split())


def vector_bits(processor):
    """Return the bits that one multiply-add unit takes in a cycle, or None if unknown."""
    flags = processor.get("flags", "").split()
    if "fma" not in flags:
        return None
    # A Zen 4 runs the instructions of AVX-512 on units of 256 bits.
    narrow = processor.get("vendor_id") == AMD and int(processor["cpu family"]) < ZEN_5
    return 512 if "avx512f" in flags and not narrow else 256


def peak(processor, cores, hertz):
    """Return the theoretical float32 FLOP/s of a processor, with what is assumed, or None.

    All cores of present x86 servers have two multiply-add units, except those of a few Xeons
    (Bronze, some Silver), which have one of 512 bits: their peak is half of it.
    """
    bits = vector_bits(processor)
    if bits is None:
        return None
    units, lanes = 2, bits // 32
    assumed = (
        f"{cores} cores x {units} units (assumed) x {lanes} lanes x 2 x {hertz / 1e9:.2f} GHz "
        f"(measured with scalar instructions; {processor.get('cpu MHz', '?')} MHz reported)"
    )
    return 2 * cores * units * lanes * hertz, assumed
