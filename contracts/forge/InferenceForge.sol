// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

interface ForgeVm {
    function etch(address target, bytes calldata code) external;
    function allowCheatcodes(address account) external;
    function rpc(string calldata method, string calldata params) external returns (bytes memory);
}

ForgeVm constant FORGE_VM = ForgeVm(address(uint160(uint256(keccak256("hevm cheat code")))));

/// @title Stands in for a native account while forge executes locally
/// @notice Asks the node that forge is forked from, by `eth_call`, and returns its answer. View functions
/// only: what would change state returns without changing it here, and does so on the network. An error
/// of the node arrives as forge's text, not as the typed error that the network gives.
contract NodeProxy {
    fallback() external payable {
        string memory params = string.concat(
            '[{"from":"', _hex(abi.encodePacked(msg.sender)), '","to":"', _hex(abi.encodePacked(address(this))),
            '","data":"', _hex(msg.data), '"},"latest"]'
        );
        bytes memory answer = FORGE_VM.rpc("eth_call", params);
        assembly {
            return(add(answer, 32), mload(answer))
        }
    }

    function _hex(bytes memory data) private pure returns (string memory) {
        bytes16 digits = "0123456789abcdef";
        bytes memory text = new bytes(2 + 2 * data.length);
        text[0] = "0";
        text[1] = "x";
        for (uint256 i = 0; i < data.length; i++) {
            text[2 + 2 * i] = digits[uint8(data[i]) >> 4];
            text[3 + 2 * i] = digits[uint8(data[i]) & 15];
        }
        return string(text);
    }
}

/// @title Makes the native accounts work in forge scripts and tests
/// @notice Call `InferenceForge.enable()` first. Run scripts with `--skip-simulation`, so that forge asks the
/// node to estimate instead of executing a second time without this shim.
library InferenceForge {
    address internal constant INFERENCE = address(0xA100);
    address internal constant MODEL_REGISTRY = address(0xA101);

    function enable() internal {
        bytes memory code = type(NodeProxy).runtimeCode;
        FORGE_VM.etch(INFERENCE, code);
        FORGE_VM.etch(MODEL_REGISTRY, code);
        FORGE_VM.allowCheatcodes(INFERENCE);
        FORGE_VM.allowCheatcodes(MODEL_REGISTRY);
    }
}
