// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IInference} from "./interfaces/IInference.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";

/// @title Assay for contracts
/// @notice Calls of the native accounts, and exact conversion between decimals and raw tensors. A wad is
/// a number with 18 decimals. All errors of IInference and IModelRegistry pass through unchanged.
library Assay {
    IInference internal constant INFERENCE = IInference(address(0xA100));
    IModelRegistry internal constant REGISTRY = IModelRegistry(address(0xA101));

    int256 internal constant WAD = 1e18;

    /// Stands for a missing value in the input of a tree model.
    int256 internal constant MISSING = -(1 << 127);

    error NotOneSample(uint256 samples);
    error LengthMismatch(uint256 expected, uint256 got);

    // ---- calls -------------------------------------------------------------------------------

    /// Raw tensors in and out.
    function infer(bytes32 model, bytes memory input) internal view returns (bytes memory) {
        return INFERENCE.infer(model, input);
    }

    /// Raw tensors in and out; leaves a log that anybody can have proven and recomputed.
    function inferAndLog(bytes32 model, bytes memory input) internal returns (bytes memory) {
        return INFERENCE.inferAndLog(model, input);
    }

    /// Wads in and out, any number of samples.
    function inferWad(bytes32 model, int256[] memory input) internal view returns (int256[] memory) {
        return INFERENCE.inferWad(model, input);
    }

    /// The label and all outputs of one sample.
    function classify(bytes32 model, int256[] memory input)
        internal
        view
        returns (uint256 label, int256[] memory scores)
    {
        uint256[] memory labels;
        (labels, scores) = INFERENCE.classify(model, input);
        if (labels.length != 1) revert NotOneSample(labels.length);
        label = labels[0];
    }

    /// Labels and all outputs of any number of samples.
    function classifyBatch(bytes32 model, int256[] memory input)
        internal
        view
        returns (uint256[] memory labels, int256[] memory scores)
    {
        return INFERENCE.classify(model, input);
    }

    /// Gas of `infer` for this batch.
    function gasFor(bytes32 model, uint256 batch) internal view returns (uint256) {
        return INFERENCE.gasFor(model, batch);
    }

    /// Model id of a repository reference, an id in hex, a CID or an alias: see IModelRegistry.resolve.
    function resolve(string memory modelReference) internal view returns (bytes32) {
        return REGISTRY.resolve(modelReference);
    }

    // ---- wads --------------------------------------------------------------------------------

    function toWad(int256 whole) internal pure returns (int256) {
        return whole * WAD;
    }

    /// Whole numbers, one byte each, as wads.
    function toWads(bytes memory values) internal pure returns (int256[] memory wads) {
        wads = new int256[](values.length);
        for (uint256 i = 0; i < values.length; i++) {
            unchecked {
                wads[i] = int256(uint256(uint8(values[i]))) * WAD;
            }
        }
    }

    /// Product of two wads, rounded towards zero.
    function mulWad(int256 a, int256 b) internal pure returns (int256) {
        return (a * b) / WAD;
    }

    /// Index of the largest number; the lowest index wins ties.
    function argmax(int256[] memory values) internal pure returns (uint256 index) {
        for (uint256 i = 1; i < values.length; i++) {
            if (values[i] > values[index]) index = i;
        }
    }

    // ---- raw tensors -------------------------------------------------------------------------

    /// Bytes of one element.
    function sizeOf(uint8 dtype) internal pure returns (uint256) {
        return dtype <= 2 ? 1 : uint256(1) << (dtype - 2); // u8 s8 s16 s32 s64
    }

    /// Wads as the raw tensor of a port, by the rule and with the error of `inferWad`:
    /// clip(zeroPoint + round half up(wad / scale)); out of range saturates.
    function encode(IModelRegistry.Port memory port, int256[] memory wads) internal pure returns (bytes memory raw) {
        uint256 size = sizeOf(port.dtype);
        bool wide = port.dtype >= 4; // has a word for a missing value, its lowest
        int256 high = port.dtype == 1 ? int256(255) : int256((uint256(1) << (8 * size - 1)) - 1);
        int256 missing = port.dtype == 1 ? int256(0) : -high - 1;
        int256 low = wide ? missing + 1 : missing;
        int256 unit = int256(uint256(port.scaleNum)) * WAD;
        int256 doubled = 2 * int256(uint256(port.scaleDen));
        int256 zeroPoint = port.zeroPoint;
        raw = new bytes(wads.length * size);
        uint256 next = 0;
        for (uint256 i = 0; i < wads.length; i++) {
            int256 q = wads[i];
            if (wide && q == MISSING) {
                q = missing;
            } else {
                if (q <= MISSING || q >= -MISSING) revert IInference.DecimalOutOfRange(i, q);
                unchecked {
                    // |q * doubled + unit| < 2**193
                    q = zeroPoint + _floorDiv(q * doubled + unit, 2 * unit);
                }
                q = q < low ? low : q > high ? high : q;
            }
            unchecked {
                for (uint256 j = 0; j < size; j++) {
                    raw[next++] = bytes1(uint8(uint256(q) >> (8 * j)));
                }
            }
        }
    }

    /// Integers of a raw tensor: little-endian two's complement, as stored.
    function words(uint8 dtype, bytes memory raw) internal pure returns (int256[] memory values) {
        uint256 size = sizeOf(dtype);
        if (raw.length % size != 0) revert LengthMismatch((raw.length / size) * size, raw.length);
        values = new int256[](raw.length / size);
        for (uint256 i = 0; i < values.length; i++) {
            uint256 word = 0;
            for (uint256 j = 0; j < size; j++) {
                word |= uint256(uint8(raw[i * size + j])) << (8 * j);
            }
            bool negative = dtype != 1 && word >> (8 * size - 1) == 1;
            values[i] = negative ? int256(word) - int256(uint256(1) << (8 * size)) : int256(word);
        }
    }

    /// Wads of a port's raw tensor: scale * (q - zeroPoint), rounded half up.
    function decode(IModelRegistry.Port memory port, bytes memory raw) internal pure returns (int256[] memory wads) {
        wads = words(port.dtype, raw);
        int256 scaleDen = int256(uint256(port.scaleDen));
        int256 doubled = 2 * int256(uint256(port.scaleNum)) * WAD;
        for (uint256 i = 0; i < wads.length; i++) {
            wads[i] = _floorDiv((wads[i] - port.zeroPoint) * doubled + scaleDen, 2 * scaleDen);
        }
    }

    function _floorDiv(int256 a, int256 b) private pure returns (int256 q) {
        unchecked {
            q = a / b; // rounds towards zero; b > 0
            if (q * b > a) q -= 1;
        }
    }
}
