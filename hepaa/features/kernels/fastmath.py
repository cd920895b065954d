"""atan2 and asinh as polynomials without branches, so that a loop over rows turns into vector instructions.

libm's functions are called once an element and keep a loop scalar. Those here are arithmetic, selects and operations on
bits alone: numba inlines them, LLVM vectorises the loop around them. Error bound: 3 units in the last place, for
`atan2` over all finite arguments, for `asinh_ratio` where products of two arguments do not overflow; the tests hold
them to it.

Each is made of two halves, a reduction that divides once (`octant`, `log_parts`) and a polynomial (`angle_of`,
`log_of`). A loop for each half is faster than one for both: the chain of operations that wait for each other is what
the processor cannot look beyond.

The coefficients interpolate (atan(x)/x - 1)/x^2 on |x| <= tan(pi/8) and (2 atanh(s)/s - 2)/s^2 on |s| <= 0.2016 at
Chebyshev nodes, in 60 digits; truncation is below 1e-17 and 6e-17 relative.
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
PI_2, PI_4 = 0.5 * PI, 0.25 * PI
_LOG_2 = 0.6931471805599453
_SMALLEST = 5e-324
_SIGN = -0x8000000000000000
_EXPONENT = 0x7FF0000000000000
_ONE = 0x3FF0000000000000  # 1.0
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


def _exponent_of(_context: Any, _i: Any) -> Any:
    """The 64 bits, shifted right by 52; zeros come in."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.lshr(args[0], ir.Constant(ir.IntType(64), 52))

    return types.int64(types.int64), codegen


_bits: Any = intrinsic(_bits_of)
_float: Any = intrinsic(_float_of)
_logical_shift: Any = intrinsic(_exponent_of)


@fused
def octant(y: float, x: float) -> tuple[float, float]:
    """Reduction of the angle of (x, y): a tangent of at most tan(pi/8), and a multiple of pi/4; see `angle_of`.

    Signs are handled as bits: logic has ports of its own in the processor, beside those for multiplications.
    """
    ax, ay = abs(x), abs(y)
    high = ay if ay > ax else ax
    low = ax if ay > ax else ay
    beyond = low > TAN_PI_8 * high
    top = low - high if beyond else low
    bottom = low + high if beyond else high
    bottom = _SMALLEST if bottom < _SMALLEST else bottom  # the origin: 0 / 0
    steep, left, below = _SIGN if ay > ax else 0, _SIGN if x < 0.0 else 0, _bits(y) & _SIGN
    base = PI_4 if beyond else 0.0
    base = _float(_bits(base) ^ steep) + (PI_2 if ay > ax else 0.0)
    base = _float(_bits(base) ^ left) + (PI if x < 0.0 else 0.0)
    return _float(_bits(top) ^ steep ^ left ^ below) / bottom, _float(_bits(base) ^ below)


@fused
def angle_of(t: float, base: float) -> float:
    """base + atan(t) in (-pi, pi], for what `octant` gives."""
    z = t * t
    # Estrin's scheme: the chain of sums is short, so that the processor works on several at once.
    z2 = z * z
    z4 = z2 * z2
    low = (-0.3333333333333333 + 0.1999999999999548 * z) + (-0.14285714284657894 + 0.11111111014561013 * z) * z2
    middle = (-0.09090904549884611 + 0.0769218253511664 * z) + (-0.06664502215671353 + 0.05858068756860806 * z) * z2
    high = (-0.05085030492807691 + 0.03921955253246738 * z) + -0.01916206891580967 * z2
    p = low + (middle + high * z4) * z4
    angle = base + (t + (t * z) * p)
    # An angle that rounds to -pi is +pi: the range is half open.
    return PI if angle <= -PI else angle


@fused
def atan2(y: float, x: float) -> float:
    """Angle of (x, y) in (-pi, pi]; 0 at the origin, and +pi, never -pi, on the negative x axis (y = -0.0 too)."""
    t, base = octant(y, x)
    return angle_of(t, base)


@fused
def log_parts(y: float, x: float, r: float) -> tuple[float, float]:
    """Reduction of asinh(y / x), r = sqrt(y^2 + x^2): s and the exponent e of e log 2 + 2 atanh(s); see `log_of`."""
    a, sign = abs(y), _bits(y) & _SIGN
    # exp(asinh(a / x)) = (r + a) / x = 1 + top / bottom.
    both = r + x
    top, bottom = a * (both + a), x * both
    # Power of two closest to that: its exponent, or one more where the mantissa exceeds sqrt(2).
    ratio_bits = _bits(top + bottom) - _bits(bottom) + _HALF_STEP
    power: float = _float((ratio_bits & _EXPONENT) + _ONE)
    scaled = bottom * power
    # log((top + bottom) / scaled) = 2 atanh(s); for e = 0 the numerator is `top` itself, so small angles are exact.
    s = (top + (bottom - scaled)) / (top + (bottom + scaled))
    # A logical shift, for processors lack the arithmetic one on vectors: the ratio is at least 1, its logarithm >= 0.
    e: float = _float(_logical_shift(ratio_bits) | _MAGIC_BITS) - _MAGIC
    if x == 0.0:
        s, e = 0.0, (0.0 if a == 0.0 else inf)
    return _float(_bits(s) ^ sign), _float(_bits(e) ^ sign)


@fused
def log_of(s: float, e: float) -> float:
    """Value e log 2 + 2 atanh(s) for |s| <= 0.2016, for what `log_parts` gives."""
    z = s * s
    z2 = z * z
    low = (0.6666666666666696 + 0.399999999992785 * z) + (0.28571428854925107 + 0.2222218052863124 * z) * z2
    high = (0.18184729712193554 + 0.1528080747326818 * z) + 0.15144596585490205 * z2
    p = low + high * (z2 * z2)
    return e * _LOG_2 + (2.0 * s + (s * z) * p)


@fused
def asinh_ratio(y: float, x: float) -> float:
    """asinh(y / x) for x >= 0 with one division: pseudorapidity from pz and pT. +-inf at x = 0, but 0 at y = x = 0.

    For |y|, x of 1e-150 to 1e150, or zero: products of two are formed.
    """
    s, e = log_parts(y, x, sqrt(y * y + x * x))
    return log_of(s, e)
