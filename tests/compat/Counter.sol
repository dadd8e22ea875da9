// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @notice What client flows need: state, an event, and three kinds of failure.
/// Counter.json is its output of solc 0.8.37, optimizer 200 runs, evmVersion prague, no metadata.
contract Counter {
    uint256 public number; // slot 0
    mapping(address => uint256) public hits;

    event Set(address indexed who, uint256 indexed value, string note);

    error TooBig(uint256 got, uint256 max);

    constructor(uint256 n) payable {
        number = n;
    }

    function set(uint256 n) external {
        if (n > 1000) revert TooBig(n, 1000);
        require(n != 13, "unlucky");
        number = n;
        hits[msg.sender] += 1;
        emit Set(msg.sender, n, "hello");
    }

    function add(uint256 a, uint256 b) external pure returns (uint256) {
        return a + b;
    }

    function boom() external view {
        assert(number > 1e18);
    }

    receive() external payable {}
}
