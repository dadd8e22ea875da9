"""Inputs of precompiled contracts, ordinary and hostile: hashes, numbers, signatures."""

from collections.abc import Iterator
from itertools import product
from random import Random

from cryptography.hazmat.primitives.asymmetric import ec

Case = tuple[int, str, bytes]
"""Address, name, input."""


def words(*numbers: int) -> bytes:
    """32 bytes each."""
    return b"".join(number.to_bytes(32, "big") for number in numbers)


def simple_cases(random: Random, count: int) -> Iterator[Case]:
    for address in (2, 3, 4):
        for size in (0, 1, 31, 32, 33, 55, 56, 64, 65, 119, 128, 200):
            yield address, f"{size} bytes", random.randbytes(size)
    yield 9, "short", bytes(212)
    yield 9, "long", bytes(214)
    for flag in (0, 1, 2, 255):
        for rounds in (0, 1, 2, 9, 10, 11, 12, 23):
            yield (
                9,
                f"flag {flag} rounds {rounds}",
                rounds.to_bytes(4, "big") + random.randbytes(208) + bytes([flag]),
            )
    for _ in range(count):
        flag = random.randrange(2)
        yield (
            9,
            "random",
            random.randrange(60).to_bytes(4, "big") + random.randbytes(208) + bytes([flag]),
        )


def ecrecover_cases(random: Random, count: int) -> Iterator[Case]:
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    prime = 2**256 - 2**32 - 977
    for v in (0, 1, 26, 27, 28, 29, 27 + 256, 27 << 248):
        yield 1, f"v {v}", random.randbytes(32) + words(v, 1, 1)
    for r in (0, 1, order - 1, order, order + 1, prime - 1, prime, 2**256 - 1):
        for s in (0, 1, order // 2, order // 2 + 1, order - 1, order, 2**256 - 1):
            yield 1, f"r {r:#x} s {s:#x}", random.randbytes(32) + words(27, r, s)
    for digest in (0, 1, order, order - 1, 2**256 - 1):
        yield 1, f"digest {digest:#x}", words(digest, 28, 1, 2)
    for i in range(count):
        data = random.randbytes(32) + words(
            27 + i % 2, random.randrange(order), random.randrange(order)
        )
        yield 1, "random", data
        yield 1, "cut", data[: random.randrange(140)]
    yield 1, "longer", data + b"\1" * 40


def modexp_input(base: bytes, exponent: bytes, modulus: bytes) -> bytes:
    return words(len(base), len(exponent), len(modulus)) + base + exponent + modulus


def modexp_cases(random: Random, count: int) -> Iterator[Case]:
    for sizes in ((0, 0, 0), (0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 0), (0, 2**200, 0), (5, 7, 0)):
        yield 5, f"sizes {sizes}", words(*sizes) + b"\0\0\3\3\3"
        yield 5, f"sizes {sizes} ones", words(*sizes) + b"\1" * 40
    for base, exponent, modulus in product((0, 1, 2, 255), (0, 1, 2, 255), (0, 1, 2, 3, 128, 255)):
        data = modexp_input(bytes([base]), bytes([exponent]), bytes([modulus]))
        yield 5, f"{base} ** {exponent} % {modulus}", data
    for size, place in product((1023, 1024, 1025, 2**64, 2**255, 2**256 - 1), range(3)):
        numbers = [1, 1, 1]
        numbers[place] = size
        yield 5, f"{size} bytes at {place}", words(*numbers) + b"\2\2\7"
    for modulus, size in product((1, 2, 64, 96, 127, 128, 243, 255), (9, 33, 300)):
        data = modexp_input(b"\6", random.randbytes(size), bytes([modulus]))
        yield 5, f"long exponent mod {modulus}", data
    for size in (1, 8, 9, 31, 32, 33, 63, 64, 65, 600, 1023, 1024, 1025, 1400):  # edges
        data = modexp_input(b"\2" * size, b"\xff" * 40, b"\3" * size)
        yield 5, f"{size} bytes", data
        yield 5, f"base of {size} bytes", modexp_input(b"\2" * size, b"\xff" * 33, b"\3")
    for size in (31, 32, 33, 34):
        yield 5, f"{size} bytes of exponent", modexp_input(b"\2" * 64, b"\x17" * size, b"\3" * 64)
        yield 5, "leading zeros", modexp_input(b"\2" * 64, b"\1".rjust(size, b"\0"), b"\3" * 64)
    for size in (2, 33, 300):  # the exponent continues behind the end, the modulus is 0 there
        data = words(1, size, 1) + b"\3" + random.randbytes(size // 2)
        yield 5, "exponent behind the end", data
    yield from modexp_random_cases(random, 3 * count)


def modexp_random_cases(random: Random, count: int) -> Iterator[Case]:
    lengths = (0, 1, 2, 7, 8, 9, 31, 32, 33, 40, 63, 64, 65, 96, 128, 200)
    for _ in range(count):
        parts = [random.randbytes(random.choice(lengths)) for _ in range(3)]
        place = random.randrange(3)
        parts[place] = bytes(len(parts[place]) // 2) + parts[place][len(parts[place]) // 2 :]
        data = modexp_input(*parts)
        yield 5, "random", data
        yield 5, "even", modexp_input(*parts[:2], parts[2][:-1] + b"\0")
        yield 5, "cut", data[: random.randrange(len(data) + 1)]


def p256_cases(random: Random, count: int) -> Iterator[Case]:
    curve = ec.SECP256R1()
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

    def point(secret: int) -> tuple[int, int]:
        key = ec.derive_private_key(secret, curve).public_key().public_numbers()
        return key.x, key.y

    def signed(secret: int, nonce: int, digest: int) -> tuple[int, int]:
        r = point(nonce)[0] % order
        return r, pow(nonce, -1, order) * (digest + r * secret) % order

    for i in range(count + 4):
        secret, nonce = random.randrange(1, order), random.randrange(1, order)
        digest = random.choice([random.randrange(2**256), 0, order, 2**256 - 1])
        r, s = signed(secret, nonce, digest)
        x, y = point(secret)
        good = (digest, r, s, x, y)
        yield 0x100, "valid", words(*good)
        yield 0x100, "other s", words(digest, r, order - s, x, y)
        for place in range(5):
            changed = list(good)
            changed[place] = changed[place] ^ 1 << random.randrange(256)
            yield 0x100, f"bit flipped at {place}", words(*changed)
        if i < 2:
            for place, bound in ((1, order), (2, order), (3, prime), (4, prime)):
                for value in (0, bound - 1, bound, bound + 1, 2**256 - 1, good[place] + bound):
                    changed = list(good)
                    changed[place] = min(value, 2**256 - 1)
                    yield 0x100, f"{place} is {value:#x}", words(*changed)
            yield 0x100, "infinity", words(digest, r, s, 0, 0)
            yield 0x100, "negated key", words(digest, r, s, x, prime - y)
            yield 0x100, "short", words(*good)[:-1]
            yield 0x100, "long", words(*good) + b"\0"
    # u1 G + u2 Q is infinity: digest = -r secret
    secret, r = 12345, point(777)[0]
    yield 0x100, "sum is infinity", words(-r * secret % order, r, 55, *point(secret))
    # u1 G = u2 Q: the addition is a doubling
    r, s = point(2 * 99)[0], 0
    s = r * secret * pow(99, -1, order) % order
    yield 0x100, "sum is a doubling", words(r * secret % order, r, s, *point(secret))
    # x of the sum is at least n, so that r = x - n
    x = order + 3
    while True:
        y = pow(
            x * x * x - 3 * x + 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
            (prime + 1) // 4,
            prime,
        )
        if (
            y * y
            - x**3
            + 3 * x
            - 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
        ) % prime == 0:
            break
        x += 1
    yield from p256_small_coordinates()
    # with Q = (x, y), u1 = 0, u2 = 1: the sum is Q
    yield 0x100, "x mod n", words(0, x - order, x - order, x, y)
    yield 0x100, "x not mod n", words(0, x % order, x - order, x, prime - y)


def p256_small_coordinates() -> Iterator[Case]:
    """Keys with a coordinate so small that it can be written a second time, p higher."""
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    x_of_small_y = 0xD7325D7646CD60D80A92738CEB345F844CFFAF35841022CAB176F692DE8DE1D7
    points = [(x_of_small_y, 5)]
    for x in range(1, 50):
        y = pow(x**3 - 3 * x + b, (prime + 1) // 4, prime)
        if (y * y - x**3 + 3 * x - b) % prime == 0:
            points.append((x, y))
    for x, y in points:  # digest 0 and r = s = x: the sum is the key itself
        yield 0x100, "small coordinate", words(0, x % order, x % order, x, y)
        yield 0x100, "x is p higher", words(0, x % order, x % order, (x + prime) % 2**256, y)
        yield 0x100, "y is p higher", words(0, x % order, x % order, x, (y + prime) % 2**256)
