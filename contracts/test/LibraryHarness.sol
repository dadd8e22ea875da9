// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Assay} from "../Assay.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";

/// @title Lets a test call the internal functions of the library
contract LibraryHarness {
    function encode(uint8 dtype, uint64 scaleNum, uint64 scaleDen, int64 zeroPoint, int256[] calldata wads)
        external
        pure
        returns (bytes memory)
    {
        return Assay.encode(_port(dtype, scaleNum, scaleDen, zeroPoint), wads);
    }

    function decode(uint8 dtype, uint64 scaleNum, uint64 scaleDen, int64 zeroPoint, bytes calldata raw)
        external
        pure
        returns (int256[] memory)
    {
        return Assay.decode(_port(dtype, scaleNum, scaleDen, zeroPoint), raw);
    }

    function words(uint8 dtype, bytes calldata raw) external pure returns (int256[] memory) {
        return Assay.words(dtype, raw);
    }

    function argmax(int256[] calldata values) external pure returns (uint256) {
        return Assay.argmax(values);
    }

    function classify(bytes32 model, int256[] calldata input) external view returns (uint256, int256[] memory) {
        return Assay.classify(model, input);
    }

    function classifyBatch(bytes32 model, int256[] calldata input)
        external
        view
        returns (uint256[] memory, int256[] memory)
    {
        return Assay.classifyBatch(model, input);
    }

    function infer(string calldata modelReference, bytes calldata input) external view returns (bytes memory) {
        return Assay.infer(Assay.resolve(modelReference), input);
    }

    function gasFor(bytes32 model, uint256 batch) external view returns (uint256) {
        return Assay.gasFor(model, batch);
    }

    function _port(uint8 dtype, uint64 scaleNum, uint64 scaleDen, int64 zeroPoint)
        private
        pure
        returns (IModelRegistry.Port memory)
    {
        return IModelRegistry.Port("x", dtype, new uint32[](0), scaleNum, scaleDen, zeroPoint);
    }
}
