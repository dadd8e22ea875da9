// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ERC7821} from "@openzeppelin/contracts/account/extensions/draft-ERC7821.sol";
import {BlockHeader} from "@openzeppelin/contracts/utils/BlockHeader.sol";
import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";
import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {TransientSlot} from "@openzeppelin/contracts/utils/TransientSlot.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {RSA} from "@openzeppelin/contracts/utils/cryptography/RSA.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {TrieProof} from "@openzeppelin/contracts/utils/cryptography/TrieProof.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {DoubleEndedQueue} from "@openzeppelin/contracts/utils/structs/DoubleEndedQueue.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";

contract Bank is ReentrancyGuardTransient {
    mapping(address => uint256) public balances;

    function deposit() external payable {
        balances[msg.sender] += msg.value;
    }

    function withdraw() external nonReentrant {
        _pay();
    }

    function withdrawUnguarded() external {
        _pay();
    }

    function guarded() external view nonReentrantView returns (bool) {
        return true;
    }

    function _pay() private {
        (bool paid, bytes memory reason) = msg.sender.call{value: balances[msg.sender]}("");
        if (!paid) assembly { revert(add(reason, 32), mload(reason)) }
        balances[msg.sender] = 0;
    }
}

contract Thief {
    Bank private immutable bank;
    bool private again;
    bool private unguarded;

    constructor(Bank bank_) {
        bank = bank_;
    }

    function steal(bool unguarded_) external payable {
        (again, unguarded) = (true, unguarded_);
        bank.deposit{value: msg.value}();
        unguarded ? bank.withdrawUnguarded() : bank.withdraw();
    }

    receive() external payable {
        if (!again) return;
        again = false;
        unguarded ? bank.withdrawUnguarded() : bank.withdraw();
    }
}

contract Visitors {
    using TransientSlot for bytes32;
    using TransientSlot for TransientSlot.Uint256Slot;

    bytes32 private constant VISITS = keccak256("visits");

    event Visited(uint256 before);

    function visitTwice() external {
        for (uint256 i = 0; i < 2; ++i) {
            uint256 before = VISITS.asUint256().tload();
            emit Visited(before);
            VISITS.asUint256().tstore(before + 1);
        }
    }
}

contract Signatures {
    struct Point {
        bytes32 x;
        bytes32 y;
    }

    function recover(bytes32 digest, bytes memory signature) external pure returns (address) {
        return ECDSA.recover(digest, signature);
    }

    function isValid(address signer, bytes32 digest, bytes memory signature) external view returns (bool) {
        return SignatureChecker.isValidSignatureNow(signer, digest, signature);
    }

    function verifyP256(bytes32 digest, bytes32 r, bytes32 s, Point memory key)
        external
        view
        returns (bool native, bool plain)
    {
        native = P256.verifyNative(digest, r, s, key.x, key.y);
        plain = P256.verifySolidity(digest, r, s, key.x, key.y);
    }

    function recoverP256(bytes32 digest, uint8 v, bytes32 r, bytes32 s) external view returns (Point memory key) {
        (key.x, key.y) = P256.recovery(digest, v, r, s);
    }

    function verifyRSA(bytes32 digest, bytes memory signature, bytes memory exponent, bytes memory modulus)
        external
        view
        returns (bool)
    {
        return RSA.pkcs1Sha256(digest, signature, exponent, modulus);
    }

    function verifyMerkle(bytes32[] memory proof, bytes32 root, bytes32 leaf) external pure returns (bool) {
        return MerkleProof.verify(proof, root, leaf);
    }
}

/// Reads the chain's own headers and state from Merkle proofs.
contract Witness {
    function blockHash(uint256 number) external view returns (bytes32) {
        return Blockhash.blockHash(number);
    }

    function account(bytes memory header, bytes memory key, bytes[] memory proof)
        external
        view
        returns (uint256 number, uint256 timestamp, bytes memory value)
    {
        require(BlockHeader.verifyBlockHeader(header), "unknown header");
        number = BlockHeader.getNumber(header);
        timestamp = BlockHeader.getTimestamp(header);
        value = TrieProof.traverse(BlockHeader.getStateRoot(header), key, proof);
    }
}

contract Structures {
    using Checkpoints for Checkpoints.Trace208;
    using DoubleEndedQueue for DoubleEndedQueue.Bytes32Deque;
    using EnumerableSet for EnumerableSet.AddressSet;

    EnumerableSet.AddressSet private members;
    Checkpoints.Trace208 private trace;
    DoubleEndedQueue.Bytes32Deque private queue;

    event Deployed(address contract_);

    function enter(address member) external returns (bool) {
        return members.add(member);
    }

    function leave(address member) external returns (bool) {
        return members.remove(member);
    }

    function all() external view returns (address[] memory) {
        return members.values();
    }

    function record(uint48 at, uint208 value) external {
        trace.push(at, value);
    }

    function recorded(uint48 at) external view returns (uint208) {
        return trace.upperLookupRecent(at);
    }

    function enqueue(bytes32 value, bool front) external {
        front ? queue.pushFront(value) : queue.pushBack(value);
    }

    function dequeue() external returns (bytes32) {
        return queue.popFront();
    }

    function queued() external view returns (bytes32[] memory values) {
        values = new bytes32[](queue.length());
        for (uint256 i = 0; i < values.length; ++i) values[i] = queue.at(i);
    }

    function deploy(bytes32 salt, bytes memory code) external payable returns (address made) {
        made = Create2.deploy(msg.value, salt, code);
        emit Deployed(made);
    }

    function mathematics(uint256 x, uint256 y, uint256 m)
        external
        view
        returns (uint256 product, uint256 root, uint256 log, uint256 zeros, uint256 inverse, uint256 power)
    {
        product = Math.mulDiv(x, y, m);
        root = Math.sqrt(x);
        log = Math.log10(x);
        zeros = Math.clz(x);
        inverse = Math.invMod(x, m);
        power = Math.modExp(x, y, m);
    }
}

/// An account of EIP-7702 that runs batches of its own.
contract Batch is ERC7821 {
    receive() external payable {}
}
