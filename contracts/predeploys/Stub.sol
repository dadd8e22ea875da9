// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Code of every native account in genesis
/// @notice An Assay node answers calls of these addresses itself and never runs this code. A tool that
/// executes EVM code on its own does run it, and gets a readable error instead of an empty answer.
contract Stub {
    fallback() external payable {
        revert("Assay precompile: call it on an Assay node");
    }
}
