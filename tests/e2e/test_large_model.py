"""A network of 25 MB as ONNX: compiled, published on four validators, asked after a restart."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.e2e.running import start, wait_for_height
from tools import keys
from tools.bench.networks import Network as OnnxNetwork
from tools.client import Client
from tools.compiler import Compiled, compile_onnx
from tools.devnet import Network, Validator
from tools.infer import infer
from tools.register import publish_model

MEGABYTE = 1 << 20
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def image_network(width: int) -> bytes:
    """Six convolutions and a dense layer for images of 32 x 32; 6.8 million weights at 512."""
    net = OnnxNetwork((1, 3, 32, 32))
    shapes = ((3, width // 8, 2), (width // 8, width // 4, 2), (width // 4, width // 2, 2))
    shapes += ((width // 2, width, 2), (width, width, 1), (width, width, 1))
    x = "x"
    for channels, filters, stride in shapes:
        x = net.add("Relu", [net.conv(x, channels, filters, 3, stride)])
    x = net.add("Flatten", [net.add("GlobalAveragePool", [x])])
    net.dense(x, width, 1000, "y")
    return net.finish((1, 1000))


def compiled_network(width: int) -> Compiled:
    samples = np.random.default_rng(1).standard_normal((64, 3, 32, 32)).astype(np.float32)
    return compile_onnx(image_network(width), samples, precision="int8")


@pytest.fixture(scope="module")
def large() -> Compiled:
    assert 24 * MEGABYTE < len(image_network(512)) < 28 * MEGABYTE
    started = time.monotonic()
    result = compiled_network(512)
    print(f"compiled in {time.monotonic() - started:.1f} s")
    return result


def anonymous_bytes(validator: Validator, network: Network) -> int:
    """Memory that is no mapped file, of a validator's process and its children."""
    parent = psutil.Process(network.processes[validator.index].pid)
    return sum(_anonymous(item.pid) for item in (parent, *parent.children(recursive=True)))


def _anonymous(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (kilobytes,) = [int(line.split()[1]) for line in lines if line.startswith("Anonymous:")]
    return kilobytes * 1024


def answer(validator: Validator, compiled: Compiled, image: Any) -> list[float]:
    with Client(validator.url, timeout_seconds=120) as client:
        result = infer(client, "0x" + compiled.model_id.hex(), image, None)
    (values,) = result["outputs"].values()
    return list(np.asarray(values).reshape(-1))


def publish(validator: Validator, compiled: Compiled) -> int:
    """Publish a model; the height at which it is there."""
    with Client(validator.url, timeout_seconds=120) as client:
        publish_model(client, keys.dev_key(2), compiled.model_bytes, progress=lambda *_: None)
        return int(client.request("eth_blockNumber"), 16)


def test_a_large_model_is_published_and_asked_after_a_restart(
    large: Compiled, new_network: Any
) -> None:
    network = new_network(validators=4)
    start(network)
    validator = network.validators[1]
    narrow = compiled_network(64)
    publish(validator, narrow)
    started = time.monotonic()
    height = publish(validator, large)
    size = len(large.model_bytes)
    print(f"published {size:,} bytes in {time.monotonic() - started:.1f} s")
    wait_for_height(network.validators, height)
    image = np.random.default_rng(2).standard_normal((1, 3, 32, 32)).astype(np.float32)
    first = answer(validator, large, image)
    assert len(first) == 1000
    assert len(set(first)) > 100

    network.stop()
    start(network)
    started = time.monotonic()
    assert answer(validator, large, image) == first
    print(f"first inference after a restart: {time.monotonic() - started:.2f} s")

    network.stop()
    start(network)
    wait_for_height(network.validators, height + 1)
    answer(validator, narrow, image)  # loads all that a model of any size needs
    before = anonymous_bytes(validator, network)
    assert answer(validator, large, image) == first
    grown = anonymous_bytes(validator, network) - before
    print(f"memory grew by {grown / size:.2f} times the model")
    assert grown <= 2 * size
