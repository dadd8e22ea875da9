"""``fetch_certificate`` over a real socket; what a node must not be believed."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from consensus.inference_certificate import build_certificate, check_certificate
from precompiles.model.codec import encode_model
from precompiles.selftest_models import sample_input, sample_models
from tests.consensus.sealed_chain import SealedChain
from tools.certify import fetch_certificate
from tools.errors import ToolError


@contextmanager
def node(result: object) -> Iterator[str]:
    """A JSON-RPC server that gives one answer to everything."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body["params"])
            answer = json.dumps({"jsonrpc": "2.0", "id": body["id"], "result": result}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_a_fetched_certificate_verifies(tmp_path: Path) -> None:
    name, model = next(sample_models())
    assert name
    with closing(SealedChain(tmp_path)) as chain:
        model_id = chain.publish(encode_model(model), 90_000)
        inference = chain.inference(model_id, sample_input(model, 1)[0])
        chain.add([inference])
        document = build_certificate(chain.store, chain.spec, inference.hash)
    text = "0x" + inference.hash.hex()
    with node(document) as url:
        fetched = fetch_certificate(url, text)
        assert check_certificate(fetched, chain.spec)[-1].name == "execution"
        with pytest.raises(ToolError, match=r"answered with the certificate of 0x"):
            fetch_certificate(url, "0x" + "ab" * 32)
    answers: list[object] = [None, [], {"format": "assay-inference-certificate", "version": 9}]
    for answer in answers:
        with node(answer) as url, pytest.raises(ToolError, match="answered with no certificate"):
            fetch_certificate(url, text)


def test_what_is_no_hash_is_not_sent() -> None:
    with pytest.raises(ToolError, match="is no transaction hash"):
        fetch_certificate("http://127.0.0.1:1", "0x12")
