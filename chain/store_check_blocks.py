"""One block of a database after another: hashes, links, roots, senders, indexes, seals."""

from functools import partial

from chain import rlp
from chain.blocks import Block, decode_block
from chain.certificate import decode_certificate
from chain.errors import ChainError, StoreError
from chain.header import EMPTY_LIST_HASH, Header, decode_header
from chain.receipts import receipts_root, transactions_root, union_bloom, withdrawals_root
from chain.seals import verify_certificate
from chain.store import decode_receipts
from chain.store_file import Transaction
from chain.store_history import height_key
from chain.transactions import decode_transaction
from chain.validator_proof import decode_validator_proof, proven_validators
from precompiles.hashing import keccak256


class BlockProof:
    """Proves blocks in ascending order, from the genesis block on.

    Args:
        txn: one moment of the database.

    Attributes:
        transactions: in the blocks so far.
        validators: proven after the last block, ascending; none on chains without seals.
    """

    def __init__(self, txn: Transaction) -> None:
        self._txn = txn
        self._parent_hash = bytes(32)
        self._changes = 0
        self._seals = 0
        self.transactions = 0
        self.validators: tuple[bytes, ...] = ()

    def add(self, number: int) -> Header:
        """Prove the block at a height.

        Raises:
            ChainError: what is wrong with it.
        """
        digest = self._need("canonical", height_key(number))
        parent, self._parent_hash = self._parent_hash, digest
        encoded = self._need("headers", digest)
        _same("hash of the header", keccak256(encoded), digest)
        header = decode_header(encoded)
        if header.number != number:
            raise StoreError(f"the header says number {header.number}")
        if number:
            _same("parent hash", header.parent_hash, parent)
        try:
            self._check_block(digest, header)
            if number and self.validators:
                certificate = decode_certificate(self._need("seals", digest))
                verify_certificate(header, certificate, self.validators)
                self._seals += 1
        finally:
            self._take_validators(number, header)
        return header

    def expected_entries(self, head: int) -> dict[str, int]:
        """Number of entries by table, when nothing but the chain is there."""
        blocks = dict.fromkeys(("headers", "blocks", "senders", "receipts", "canonical"), head + 1)
        return {
            **blocks,
            "locations": self.transactions,
            "seals": self._seals,
            "changes": self._changes,
        }

    def _check_block(self, digest: bytes, header: Header) -> None:
        encoded = self._need("blocks", digest)
        lenient = partial(decode_transaction, homestead=False)
        block = decode_block(encoded, lenient, None)
        _same("header of the block", block.header.rlp, header.rlp)
        self._check_body(block)
        self.transactions += len(block.transactions)
        senders = b"".join([transaction.sender for transaction in block.transactions])
        _same("senders", self._need("senders", digest), senders)
        for index, transaction in enumerate(block.transactions):
            location = self._need("locations", transaction.hash)
            _same("location of a transaction", location, digest + index.to_bytes(4, "big"))
        if header.number:
            self._check_receipts(digest, header, len(block.transactions))

    def _check_body(self, block: Block) -> None:
        header = block.header
        root = transactions_root([transaction.raw for transaction in block.transactions])
        _same("transactions root", root, header.transactions_root)
        ommers = EMPTY_LIST_HASH
        if block.ommers:
            ommers = keccak256(rlp.join_list([ommer.rlp for ommer in block.ommers]))
        _same("ommers hash", ommers, header.ommers_hash)
        root = withdrawals_root([withdrawal.rlp for withdrawal in block.withdrawals])
        if block.withdrawals or header.field_count > 16:
            _same("withdrawals root", root, header.withdrawals_root)

    def _check_receipts(self, digest: bytes, header: Header, transactions: int) -> None:
        try:
            receipts = decode_receipts(self._need("receipts", digest))
        except rlp.RlpError as error:
            raise StoreError(f"receipts: {error}") from None
        if len(receipts) != transactions:
            raise StoreError(f"{len(receipts)} receipts of {transactions} transactions")
        _same("receipts root", receipts_root(receipts), header.receipts_root)
        bloom = union_bloom([receipt.logs_bloom for receipt in receipts])
        _same("logs bloom", bloom, header.logs_bloom)
        used = receipts[-1].cumulative_gas_used if receipts else 0
        if used != header.gas_used:
            raise StoreError(f"receipts use {used} gas, the header says {header.gas_used}")

    def _take_validators(self, number: int, header: Header) -> None:
        """The set after this block, proven under its state root, when the block changed it."""
        encoded = self._txn.get("changes", height_key(number))
        if encoded is None:
            return
        self._changes += 1
        try:
            proof = decode_validator_proof(encoded)
        except rlp.RlpError as error:
            raise StoreError(f"proof of the validator set: {error}") from None
        self.validators = proven_validators(proof, header.state_root)

    def _need(self, table: str, key: bytes) -> bytes:
        value = self._txn.get(table, key)
        if value is None:
            raise StoreError(f"nothing in table {table} under 0x{key.hex()}")
        return value


def _same(what: str, found: bytes, want: bytes) -> None:
    if found != want:
        raise ChainError(f"{what}: 0x{_brief(found)}, want 0x{_brief(want)}")


def _brief(value: bytes) -> str:
    return value.hex() if len(value) <= 32 else f"{value[:16].hex()}… ({len(value)} bytes)"
