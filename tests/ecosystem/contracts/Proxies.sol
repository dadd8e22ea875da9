// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {OwnableUpgradeable} from "@openzeppelin/contracts-upgradeable/access/OwnableUpgradeable.sol";
import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {BeaconProxy} from "@openzeppelin/contracts/proxy/beacon/BeaconProxy.sol";
import {UpgradeableBeacon} from "@openzeppelin/contracts/proxy/beacon/UpgradeableBeacon.sol";
import {ProxyAdmin} from "@openzeppelin/contracts/proxy/transparent/ProxyAdmin.sol";
import {
    TransparentUpgradeableProxy
} from "@openzeppelin/contracts/proxy/transparent/TransparentUpgradeableProxy.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";

contract Tally is OwnableUpgradeable, UUPSUpgradeable {
    uint256 public count;

    event Counted(uint256 count);

    constructor() {
        _disableInitializers();
    }

    function initialize(address owner, uint256 start) external initializer {
        __Ownable_init(owner);
        count = start;
    }

    function add(uint256 amount) external {
        count += amount;
        emit Counted(count);
    }

    function version() external pure virtual returns (uint256) {
        return 1;
    }

    function _authorizeUpgrade(address) internal override onlyOwner {}
}

contract DoubleTally is Tally {
    uint256 public doubled;

    function migrate() external reinitializer(2) {
        doubled = 2 * count;
    }

    function version() external pure override returns (uint256) {
        return 2;
    }
}

contract NotUpgradeable {
    uint256 public count;
}

contract Cloner {
    function clone(address implementation) external returns (address) {
        return Clones.clone(implementation);
    }

    function cloneAt(address implementation, bytes32 salt) external payable returns (address) {
        return Clones.cloneDeterministic(implementation, salt, msg.value);
    }

    function predict(address implementation, bytes32 salt) external view returns (address) {
        return Clones.predictDeterministicAddress(implementation, salt);
    }

    function cloneWith(address implementation, bytes memory arguments) external returns (address) {
        return Clones.cloneWithImmutableArgs(implementation, arguments);
    }

    function argumentsOf(address instance) external view returns (bytes memory) {
        return Clones.fetchCloneArgs(instance);
    }
}

contract Purse {
    function balance() external view returns (uint256) {
        return address(this).balance;
    }

    function read(address cloner) external view returns (bytes memory) {
        return Cloner(cloner).argumentsOf(address(this));
    }

    receive() external payable {}
}
