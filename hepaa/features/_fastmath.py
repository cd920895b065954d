"""atan2 and asinh as polynomials without branches, so that a loop over rows turns into vector instructions.

libm's functions are called once an element and keep a loop scalar. Those here are arithmetic and selects alone: numba
inlines them, LLVM vectorises the loop around them. Error bound: 3 units in the last place, for `atan2` over all finite
arguments, for `asinh_ratio` where products of two arguments do not overflow; the tests hold them to it.

The coefficients interpolate (atan(x)/x - 1)/x^2 on |x| <= tan(pi/8) and (2 atanh(s)/s - 2)/s^2 on |s| <= 0.2 at
Chebyshev nodes, in 60 digits; truncation is below 1e-17 relative.
"""

from __future__ import annotations

from math import inf, sqrt
from typing import Any, TypeVar

from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

_Function = TypeVar("_Function")

PI = 3.141592653589793
TAN_PI_8 = 0.41421356237309503
# pi/4 in two parts: the first has 48 bits, so that its multiples up to 4 are exact.
PI_4_HIGH, PI_4_LOW = 0.7853981633974456, 2.6951514290790595e-15
# log 2 in two parts: the first has 40 bits, so that its product with an exponent is exact.
LOG2_HIGH, LOG2_LOW = 0.6931471805592082, 7.371002565167799e-13
# Added to the difference of two floats' bits before its exponent is taken: rounds log2 of their ratio to within 0.59.
_HALF_STEP = 0x0007FFFFFFFFFFFF
_MAGIC_BITS = 0x4330000000000000  # 2^52 as a float: its low mantissa bits hold a small integer
_MAGIC = 4503599627370496.0


def kernel(function: _Function) -> _Function:
    """How all kernels are compiled: kept on disk, division as IEEE 754 has it, other threads free to run beside it."""
    compiler: Any = njit(cache=True, error_model="numpy", nogil=True)
    compiled: _Function = compiler(function)
    return compiled


def fused(function: _Function) -> _Function:
    """A kernel whose products and sums may fuse into one rounding where the processor can: faster, not less exact."""
    flags: Any = {"contract"}
    compiler: Any = njit(cache=True, error_model="numpy", nogil=True, fastmath=flags)
    compiled: _Function = compiler(function)
    return compiled


def _bits_of(_context: Any, _x: Any) -> Any:
    """The 64 bits of a float64 as int64."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), codegen


def _float_of(_context: Any, _i: Any) -> Any:
    """The float64 with these 64 bits."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), codegen


_bits: Any = intrinsic(_bits_of)
_float: Any = intrinsic(_float_of)


@fused
def atan2(y: float, x: float) -> float:
    """Angle of (x, y) in (-pi, pi]; 0 at the origin, and +pi, never -pi, on the negative x axis (y = -0.0 too)."""
    ax, ay = abs(x), abs(y)
    high, low = (ay, ax) if ay > ax else (ax, ay)
    beyond = low > TAN_PI_8 * high
    top = low - high if beyond else low
    bottom = low + high if beyond else high
    bottom = 1.0 if bottom == 0.0 else bottom
    t = top / bottom
    z = t * t
    # Estrin's scheme: the chain of sums is short, so that the processor works on several at once.
    z2 = z * z
    z4 = z2 * z2
    low_part = (-0.3333333333333333 + 0.1999999999999548 * z) + (-0.14285714284657894 + 0.11111111014561013 * z) * z2
    middle = (-0.09090904549884611 + 0.0769218253511664 * z) + (-0.06664502215671353 + 0.05858068756860806 * z) * z2
    high_part = (-0.05085030492807691 + 0.03921955253246738 * z) + -0.01916206891580967 * z2
    p = low_part + (middle + high_part * z4) * z4
    p = t + t * (z * p)
    # The angle is k pi/4 + s p: the octant enters once, so that there is one rounding at the end.
    k = 1.0 if beyond else 0.0
    s = 1.0
    if ay > ax:
        k = 2.0 - k
        s = -s
    if x < 0.0:
        k = 4.0 - k
        s = -s
    angle = k * PI_4_HIGH + (k * PI_4_LOW + s * p)
    # An angle that rounds to pi is +pi on either side: the range is half open.
    return -angle if y < 0.0 and angle < PI else angle


@fused
def _two_atanh(s: float) -> float:
    """2 atanh(s) - 2 s for |s| <= 0.2: what log((1 + s) / (1 - s)) adds to its first term."""
    z = s * s
    z2 = z * z
    low = (0.6666666666666666 + 0.40000000000008085 * z) + (0.2857142856721186 + 0.2222222305900626 * z) * z2
    high = (0.18181736791297387 + 0.1538890111368957 * z) + (0.13209054081797564 + 0.13614047041090588 * z) * z2
    p = low + high * (z2 * z2)
    return s * (z * p)


@fused
def asinh_sides(y: float, x: float, r: float) -> float:
    """`asinh_ratio` where the hypotenuse r = sqrt(y^2 + x^2) is known."""
    a = abs(y)
    # exp(asinh(a / x)) = (r + a) / x = 1 + top / bottom.
    top, bottom = a * (r + x + a), x * (r + x)
    # Power of two closest to that: its exponent, or one more where the mantissa exceeds sqrt(2).
    ratio_bits = _bits(top + bottom) - _bits(bottom)
    k = (ratio_bits + _HALF_STEP) >> 52
    power: float = _float((k + 1023) << 52)
    scaled = bottom * power
    # log((top + bottom) / scaled) = 2 atanh(s); for k = 0 the numerator is `top` itself, so small angles are exact.
    s = (top + (bottom - scaled)) / (top + (bottom + scaled))
    e: float = _float((k + 1023) | _MAGIC_BITS) - (_MAGIC + 1023.0)
    value = e * LOG2_HIGH + (2.0 * s + (_two_atanh(s) + e * LOG2_LOW))
    value = value if x > 0.0 else (0.0 if a == 0.0 else inf)
    return -value if y < 0.0 else value


@fused
def asinh_ratio(y: float, x: float) -> float:
    """asinh(y / x) for x >= 0 with one division: pseudorapidity from pz and pT. +-inf at x = 0, but 0 at y = x = 0.

    For |y|, x of 1e-150 to 1e150, or zero: products of two are formed.
    """
    return asinh_sides(y, x, sqrt(y * y + x * x))
