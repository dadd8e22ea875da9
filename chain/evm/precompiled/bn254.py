"""alt_bn128."""

from py_ecc.optimized_bn128 import FQ, FQ2, FQ12, add, b, b2, curve_order, field_modulus, is_inf, is_on_curve, multiply, normalize, pairing

from chain.evm.errors import PrecompileFailure
from chain.evm.frame import Frame


def _g1(data):
    x = int.from_bytes(data[:32], "big")
    y = int.from_bytes(data[32:64], "big")
    if x >= field_modulus or y >= field_modulus:
        raise PrecompileFailure("coordinate exceeds the modulus")
    point = FQ(x), FQ(y), FQ(1 if x or y else 0)
    if not is_on_curve(point, b):
        raise PrecompileFailure("not on curve")
    return point


def _g2(data):
    x1, x0, y1, y0 = (int.from_bytes(data[i:i+32], "big") for i in range(0, 128, 32))
    if max(x0, x1, y0, y1) >= field_modulus:
        raise PrecompileFailure("coordinate exceeds the modulus")
    point = FQ2((x0, x1)), FQ2((y0, y1)), FQ2((1 if x0 or x1 or y0 or y1 else 0, 0))
    if not is_on_curve(point, b2) or not is_inf(multiply(point, curve_order)):
        raise PrecompileFailure("not on curve")
    return point


def _out(point):
    x, y = normalize(point)
    return int(x).to_bytes(32, "big") + int(y).to_bytes(32, "big")


def _add(frame):
    data = frame.data[:128].ljust(128, b"\0")
    return _out(add(_g1(data), _g1(data[64:])))


def _mul(frame):
    data = frame.data[:96].ljust(96, b"\0")
    return _out(multiply(_g1(data), int.from_bytes(data[64:], "big")))


def _pair(frame, base, each):
    data = frame.data
    frame.charge(base + each * (len(data) // 192))
    if len(data) % 192:
        raise PrecompileFailure("bad length")
    result = FQ12.one()
    for i in range(0, len(data), 192):
        result *= pairing(_g2(data[i + 64:i + 192]), _g1(data[i:]))
    return int(result == FQ12.one()).to_bytes(32, "big")


def add_byzantium(frame: Frame) -> bytes:
    frame.charge(500)
    return _add(frame)


def add_istanbul(frame: Frame) -> bytes:
    frame.charge(150)
    return _add(frame)


def multiply_byzantium(frame: Frame) -> bytes:
    frame.charge(40_000)
    return _mul(frame)


def multiply_istanbul(frame: Frame) -> bytes:
    frame.charge(6_000)
    return _mul(frame)


def pairing_byzantium(frame: Frame) -> bytes:
    return _pair(frame, 100_000, 80_000)


def pairing_istanbul(frame: Frame) -> bytes:
    return _pair(frame, 45_000, 34_000)
