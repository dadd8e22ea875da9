"""A network of 25 MB as ONNX: compiled, published on four validators, asked after a restart."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from genesis.addresses import INFERENCE
from tests.e2e.running import (
    ask,
    inference,
    publish_small,
    small_input,
    start,
    wait_for_height,
)
from tools import keys
from tools.bench.networks import Network as OnnxNetwork
from tools.client import Client, hex_of
from tools.compiler import Compiled, compile_onnx
from tools.devnet import Network, Validator
from tools.infer import infer
from tools.register import publish_model

MEGABYTE = 1 << 20
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def network_of_25_megabytes() -> bytes:
    """Six convolutions and a dense layer for images of 32 x 32: 6.6 million weights."""
    net = OnnxNetwork((1, 3, 32, 32))
    x = net.add("Relu", [net.conv("x", 3, 64, 3, 2)])
    for channels, filters, stride in (
        (64, 128, 2),
        (128, 256, 2),
        (256, 512, 2),
        (512, 512, 1),
        (512, 512, 1),
    ):
        x = net.add("Relu", [net.conv(x, channels, filters, 3, stride)])
    x = net.add("Flatten", [net.add("GlobalAveragePool", [x])])
    net.dense(x, 512, 1000, "y")
    return net.finish((1, 1000))


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    onnx = network_of_25_megabytes()
    assert 24 * MEGABYTE < len(onnx) < 28 * MEGABYTE
    samples = np.random.default_rng(1).standard_normal((64, 3, 32, 32)).astype(np.float32)
    started = time.monotonic()
    result = compile_onnx(onnx, samples, precision="int8")
    print(f"compiled {len(onnx):,} bytes in {time.monotonic() - started:.1f} s")
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


def ask_small(validator: Validator) -> None:
    """An inference of another model: everything but the large model is loaded after it."""
    call = {"to": hex_of(INFERENCE), "data": hex_of(inference(small_input(3)))}
    assert ask(validator, "eth_call", call, "latest") != "0x"


def test_a_large_model_is_published_and_asked_after_a_restart(
    compiled: Compiled, new_network: Any
) -> None:
    network = new_network(validators=4)
    start(network)
    validator = network.validators[1]
    publish_small(validator)
    started = time.monotonic()
    with Client(validator.url, timeout_seconds=120) as client:
        publish_model(client, keys.dev_key(2), compiled.model_bytes, progress=lambda *_: None)
        height = int(client.request("eth_blockNumber"), 16)
    print(f"published {len(compiled.model_bytes):,} bytes in {time.monotonic() - started:.1f} s")
    wait_for_height(network.validators, height)
    image = np.random.default_rng(2).standard_normal((1, 3, 32, 32)).astype(np.float32)
    first = answer(validator, compiled, image)
    assert len(first) == 1000
    assert len(set(first)) > 100

    network.stop()
    start(network)
    started = time.monotonic()
    assert answer(validator, compiled, image) == first
    print(f"first inference after a restart: {time.monotonic() - started:.2f} s")

    network.stop()
    start(network)
    wait_for_height(network.validators, height + 1)
    ask_small(validator)
    before = anonymous_bytes(validator, network)
    assert answer(validator, compiled, image) == first
    grown = anonymous_bytes(validator, network) - before
    size = len(compiled.model_bytes)
    print(f"memory grew by {grown / size:.2f} times the model's {size:,} bytes")
    assert grown <= 2 * size
