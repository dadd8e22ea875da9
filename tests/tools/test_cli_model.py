"""``assay model``, ``infer`` and ``bench`` against a real node that mines on demand."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from onnx.numpy_helper import from_array

from genesis.addresses import MODEL_REGISTRY
from genesis.spec import format_genesis
from tests.precompiles.native_calls import SMALL, SMALL_ID
from tests.rpc.local_chain import ACCOUNTS, LocalChain, local_chain
from tests.tools.command_line import Assay
from tools.bench.chain import LoadOptions, run_load
from tools.client import Client, Sender, bytes_of
from tools.errors import NodeUnreachable, ToolError
from tools.register import registry_call

pytestmark = pytest.mark.e2e

RNG = np.random.default_rng(5)
WEIGHT = RNG.normal(size=(4, 3)).astype(np.float32)
SAMPLES = RNG.normal(size=(200, 4)).astype(np.float32)


def dense_onnx(operator: str = "Identity") -> bytes:
    """Four features to three scores, through one more operator."""
    nodes = [make_node("MatMul", ["x", "w"], ["h"]), make_node(operator, ["h"], ["y"], name="odd")]
    kind = onnx.TensorProto.FLOAT
    graph = make_graph(
        nodes,
        "g",
        [make_tensor_value_info("x", kind, ["N", 4])],
        [make_tensor_value_info("y", kind, ["N", 3])],
        [from_array(WEIGHT, "w")],
    )
    model = make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=9)
    data: bytes = model.SerializeToString()
    return data


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalChain]:
    with local_chain(Path(tmp_path_factory.mktemp("cli-chain"))) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An ONNX file, samples and a key."""
    (tmp_path / "net.onnx").write_bytes(dense_onnx())
    np.save(tmp_path / "x.npy", SAMPLES)
    np.save(tmp_path / "one.npy", SAMPLES[:2])
    key = tmp_path / "key"
    key.write_text(bytes(ACCOUNTS[0].key).hex())
    key.chmod(0o600)
    return tmp_path


def test_from_onnx_to_the_answer_of_the_chain(assay: Assay, folder: Path, node: LocalChain) -> None:
    model, rpc = folder / "net.assay", ("--rpc", node.url)
    compiled = assay(
        "model", "compile", folder / "net.onnx", "--samples", folder / "x.npy", "--json"
    ).json
    assert compiled["report"]["agreement"] >= 0.995
    assert compiled["file"] == str(model)
    text = assay("model", "inspect", model).out
    assert f"model: {compiled['model']}" in text
    described = assay("model", "inspect", model, "--json").json
    assert (described["model"], described["bytes"]) == (compiled["model"], len(model.read_bytes()))

    local = assay("model", "run", model, "--input", folder / "one.npy", "--json").json
    assert np.allclose(local["y"], SAMPLES[:2] @ WEIGHT, atol=0.1)
    reference = assay("model", "run", model, "--input", folder / "one.npy", "--reference", "--json")
    assert reference.json == local

    published = assay("model", "publish", model, "--key", folder / "key", *rpc)
    assert published.out == f"Published {compiled['model']}\n", published.err
    again = assay("model", "publish", model, "--key", folder / "key", *rpc, "--json").json
    assert again == {"model": compiled["model"]}
    listed = assay("model", "list", *rpc, "--json").json
    assert compiled["model"] in [item["id"] for item in listed]
    assert compiled["model"] in assay("model", "list", *rpc).out

    fetched = folder / "fetched.assay"
    assert assay("model", "download", compiled["model"], "-o", fetched, *rpc).code == 0
    assert fetched.read_bytes() == model.read_bytes()

    infer = ("infer", compiled["model"], "--input", folder / "one.npy", *rpc)
    called = assay(*infer, "--json").json
    assert called["outputs"] == local
    assert called["gas"] > described["gas"]
    sent = assay(*infer, "--key", folder / "key", "--json").json
    assert sent["outputs"] == local
    assert sent["gas"] > called["gas"] + 21_000
    assert "\nTransaction 0x" in assay(*infer, "--key", folder / "key").out
    _by_name(assay, folder, node, compiled["model"], local)
    _certified(assay, folder, node, sent["transaction"])


def _by_name(assay: Assay, folder: Path, node: LocalChain, model: str, outputs: Any) -> None:
    with Client(node.url) as client:
        sender = Sender(client, bytes(ACCOUNTS[0].key))
        made = sender.transact(
            MODEL_REGISTRY, registry_call("createRepository(string,string)", "net", "a test")
        )
        repository = bytes_of(made["logs"][0]["topics"][1])
        release = "release(bytes32,string,bytes32,string)"
        sender.transact(
            MODEL_REGISTRY,
            registry_call(release, repository, "1.0", bytes_of(model), ""),
        )
    name = f"{ACCOUNTS[0].address.lower()}/net"
    for reference in (name, f"{name}@1.0"):
        found = assay(
            "infer", reference, "--input", folder / "one.npy", "--rpc", node.url, "--json"
        ).json
        assert (found["model"], found["outputs"]) == (model, outputs)
    wrong = assay("infer", f"{name}@2.0", "--input", folder / "one.npy", "--rpc", node.url)
    assert wrong.code == 1
    assert "UnknownModel(" in wrong.err


def _certified(assay: Assay, folder: Path, node: LocalChain, transaction: str) -> None:
    """The certificate of the local chain's only validator, checked against its genesis."""
    certificate = folder / "certificate.json"
    done = assay("certify", transaction, "--rpc", node.url, "-o", certificate)
    assert done.out == f"Written {certificate}\n"
    genesis = folder / "genesis.json"
    genesis.write_text(format_genesis(node.node.spec))
    done = assay("verify", certificate, "--genesis", genesis)
    assert done.out.endswith("The certificate holds.\n")
    checks = assay("verify", certificate, "--genesis", genesis, "--json").json
    assert checks[-1]["check"] == "execution"
    document = json.loads(certificate.read_text())
    document["version"] = 2
    certificate.write_text(json.dumps(document))
    done = assay("verify", certificate, "--genesis", genesis)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Error: schema: ")


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.98])
def test_a_truncated_onnx_file(share: float, assay: Assay, folder: Path) -> None:
    data = dense_onnx()
    (folder / "net.onnx").write_bytes(data[: int(share * len(data))])
    done = assay("model", "compile", folder / "net.onnx", "--samples", folder / "x.npy")
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in done.err
    assert not (folder / "net.assay").exists()


@pytest.mark.parametrize("operator", ["Det", "NonZero", "Multinomial", "Sorcery"])
def test_an_unknown_operator(operator: str, assay: Assay, folder: Path) -> None:
    (folder / "net.onnx").write_bytes(dense_onnx(operator))
    done = assay("model", "compile", folder / "net.onnx", "--samples", folder / "x.npy")
    assert done.code == 1
    assert operator in done.err
    assert not (folder / "net.assay").exists()


def test_samples_that_do_not_fit(assay: Assay, folder: Path) -> None:
    np.save(folder / "x.npy", SAMPLES[:, :3])
    done = assay("model", "compile", folder / "net.onnx", "--samples", folder / "x.npy")
    assert done.code == 1
    assert "shape (200, 3)" in done.err
    done = assay("model", "compile", folder / "net.onnx")
    assert done.code == 1
    assert "--samples" in done.err


@pytest.mark.parametrize("command", ["inspect", "run", "publish"])
def test_a_file_that_is_no_model(
    command: str, assay: Assay, folder: Path, node: LocalChain
) -> None:
    for data in (b"", SMALL[:-1], SMALL + b"\0", dense_onnx()):
        (folder / "bad.assay").write_bytes(data)
        more: tuple[object, ...] = ()
        if command == "run":
            more = ("--input", folder / "one.npy")
        if command == "publish":
            more = ("--key", folder / "key", "--rpc", node.url)
        done = assay("model", command, folder / "bad.assay", *more)
        assert done.code == 1
        assert done.err.startswith("Error: ")


def test_models_that_are_not_there(assay: Assay, folder: Path, node: LocalChain) -> None:
    rpc = ("--rpc", node.url)
    unknown = "0x" + "00" * 31 + "01"
    done = assay("infer", unknown, "--input", folder / "one.npy", *rpc)
    assert done.code == 1
    assert f"ModelNotFound({unknown})" in done.err
    done = assay("model", "download", unknown, "-o", folder / "no", *rpc)
    assert done.code == 1
    assert "is not published on this network" in done.err
    assert not (folder / "no").exists()
    for name in ("0x12", "nobody/nothing", ""):
        done = assay("model", "download", name, "-o", folder / "no", *rpc)
        assert done.code == 1
        assert "UnknownModel(" in done.err
    with Client(node.url) as client:
        begin = registry_call("begin(bytes32,uint32,uint32)", bytes(31) + b"\2", 10, 10)
        Sender(client, bytes(ACCOUNTS[1].key)).transact(MODEL_REGISTRY, begin)
    begun = "0x" + "00" * 31 + "02"
    done = assay("infer", begun, "--input", folder / "one.npy", *rpc)
    assert (done.code, done.err) == (
        1,
        f"Error: model {begun} is not published on this network\n",
    )


def test_an_input_of_another_shape(assay: Assay, folder: Path, node: LocalChain) -> None:
    (folder / "small.assay").write_bytes(SMALL)
    key = ("--key", folder / "key", "--rpc", node.url)
    assert assay("model", "publish", folder / "small.assay", *key).code == 0
    infer = ("infer", "0x" + SMALL_ID.hex(), "--input", folder / "one.npy", "--rpc", node.url)
    for more in ((), ("--key", folder / "key")):
        done = assay(*infer, *more)
        assert done.code == 1
        assert "needs 3 numbers per sample, got shape (2, 4)" in done.err


def test_a_key_without_funds(assay: Assay, folder: Path, node: LocalChain) -> None:
    (folder / "poor").write_text("11" * 32)
    (folder / "poor").chmod(0o600)
    (folder / "net.onnx").write_bytes(dense_onnx("Neg"))
    compiled = assay(
        "model", "compile", folder / "net.onnx", "--samples", folder / "x.npy", "--json"
    ).json
    done = assay("model", "publish", compiled["file"], "--key", folder / "poor", "--rpc", node.url)
    assert done.code == 1
    assert "insufficient funds for gas * price + value" in done.err


@pytest.mark.parametrize("batch", [1, 20])
def test_a_short_load(batch: int, node: LocalChain) -> None:
    options = LoadOptions((node.url,), rate=40, seconds=2, accounts=4, connections=3, batch=batch)
    result = run_load(options, bytes(ACCOUNTS[2].key))
    assert (result.sent, result.accepted, result.mined, result.lost) == (80, 80, 80, 0)
    assert result.refused == {}
    assert 0 < result.latency_p50 <= result.latency_p99 <= result.latency_max
    assert result.largest_block <= 80


def test_a_load_that_fails(node: LocalChain) -> None:
    poor = LoadOptions((node.url,), rate=10, seconds=1, accounts=1)
    with pytest.raises(ToolError, match="insufficient funds"):
        run_load(poor, b"\x11" * 32)
    with pytest.raises(NodeUnreachable):
        run_load(LoadOptions(("http://127.0.0.1:1",)), b"\x11" * 32)
