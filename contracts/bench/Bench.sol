// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Work that `assay bench evm` measures: one function per kind.
contract Bench {
    mapping(uint256 => uint256) private words;
    uint256 private word;

    function arithmetic(uint256 n) external pure returns (uint256 x) {
        x = 1;
        for (uint256 i = 0; i < n; i++) {
            unchecked {
                x = (x * 3 + i) ^ (x >> 7);
                if (x % 5 == 0) x += 11;
            }
        }
    }

    function checkedArithmetic(uint256 n) external pure returns (uint256 x) {
        for (uint256 i = 0; i < n; i++) {
            x = x + i * 3;
            if (x > 1e30) x = x / 7;
        }
    }

    function hashes(uint256 n) external pure returns (bytes32 h) {
        for (uint256 i = 0; i < n; i++) h = keccak256(abi.encode(h, i));
    }

    function sort(uint256 n) external pure returns (uint256) {
        uint256[] memory a = new uint256[](n);
        uint256 seed = 12345;
        for (uint256 i = 0; i < n; i++) {
            unchecked {
                seed = seed * 1103515245 + 12345;
            }
            a[i] = seed % 1000003;
        }
        for (uint256 i = 1; i < n; i++) {
            uint256 key = a[i];
            uint256 j = i;
            while (j > 0 && a[j - 1] > key) {
                a[j] = a[j - 1];
                j--;
            }
            a[j] = key;
        }
        return a[n / 2];
    }

    function calls(uint256 n) external view returns (uint256 x) {
        for (uint256 i = 0; i < n; i++) x += this.successor(i);
    }

    function successor(uint256 i) external pure returns (uint256) {
        return i + 1;
    }

    function storeCold(uint256 n) external {
        for (uint256 i = 0; i < n; i++) words[i] = words[i] + i + 1;
    }

    function storeWarm(uint256 n) external {
        for (uint256 i = 0; i < n; i++) word = word + i;
    }
}

/// A plain ERC-20.
contract BenchToken {
    string public constant name = "Bench";
    string public constant symbol = "BENCH";
    uint8 public constant decimals = 18;
    uint256 public constant totalSupply = 1e30;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    error InsufficientBalance(uint256 balance, uint256 needed);

    constructor() {
        balanceOf[msg.sender] = totalSupply;
        emit Transfer(address(0), msg.sender, totalSupply);
    }

    function transfer(address to, uint256 value) external returns (bool) {
        move(msg.sender, to, value);
        return true;
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        allowance[from][msg.sender] -= value;
        move(from, to, value);
        return true;
    }

    function move(address from, address to, uint256 value) private {
        uint256 balance = balanceOf[from];
        if (balance < value) revert InsufficientBalance(balance, value);
        unchecked {
            balanceOf[from] = balance - value;
        }
        balanceOf[to] += value;
        emit Transfer(from, to, value);
    }
}
