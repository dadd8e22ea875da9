"""``qbft_`` methods on real blocks: who proposed, what proves a block, how long a round waits."""

from dataclasses import replace

import pytest

from chain.extra_data import parse_extra_data, unseal
from chain.seals import verify_certificate
from tests.rpc.client import Client, Refused
from tests.rpc.local_chain import ACCOUNTS, VALIDATOR, LocalChain


@pytest.fixture
def head(chain: LocalChain, rpc: Client) -> int:
    """At least two blocks."""
    for _ in range(2):
        rpc.send(ACCOUNTS[0], to=ACCOUNTS[1].address, value=1)
    return int(rpc("eth_blockNumber"), 16)


def test_signer_metrics(rpc: Client, head: int) -> None:
    own = "0x" + VALIDATOR.hex()
    assert rpc("qbft_getSignerMetrics", "0x1", hex(head)) == [
        {
            "address": own,
            "proposedBlockCount": hex(head - 1),
            "lastProposedBlockNumber": hex(head - 1),
        }
    ]
    genesis = {item["address"]: item for item in rpc("qbft_getSignerMetrics", "earliest", "latest")}
    assert genesis["0x" + "00" * 20]["lastProposedBlockNumber"] == "0x0"
    assert rpc("qbft_getSignerMetrics", "0x0", "0x1")[-1] == {
        "address": own,
        "proposedBlockCount": "0x0",
        "lastProposedBlockNumber": "0x0",
    }
    assert rpc("qbft_getSignerMetrics") == rpc("qbft_getSignerMetrics", None, hex(head + 9))


@pytest.mark.parametrize(
    ("parameters", "code"),
    [(["0x1", "0x1"], -32602), (["0x5", "0x1"], -32602), (["latest"], -32602), (["0xg"], -32602)],
)
def test_empty_ranges_are_refused(parameters: list[str], code: int, rpc: Client, head: int) -> None:
    with pytest.raises(Refused) as caught:
        rpc("qbft_getSignerMetrics", *parameters)
    assert caught.value.code == code


def test_the_request_timeout_is_a_plain_number(rpc: Client) -> None:
    assert rpc("qbft_getRequestTimeoutSeconds") == 4


def test_a_certificate_seals_its_header(chain: LocalChain, rpc: Client, head: int) -> None:
    answer = rpc("qbft_getCommitCertificate", hex(head))
    stored = chain.node.store.header_by_number(head)
    assert stored is not None
    sealed = bytes.fromhex(answer["extraData"][2:])
    assert len(parse_extra_data(sealed).seals) == len(answer["seals"]) == 1
    chain_form, certificate = unseal(replace(stored, extra_data=sealed))
    assert chain_form == stored
    verify_certificate(stored, certificate, (VALIDATOR,))
