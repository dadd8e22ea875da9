// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Assay} from "../Assay.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";

/// @title Reads handwritten digits
/// @notice One image is `pixels` bytes, row by row, each 0 (white) to 16 (black). `classify` is free in
/// `eth_call`; `read` is a transaction whose log proves image, model and digit to anybody.
contract DigitReader {
    bytes32 public immutable model;
    uint256 public immutable pixels;

    // The model's input and output, kept in code because storage would cost more than the model.
    uint8 private immutable inputType;
    uint64 private immutable scaleNum;
    uint64 private immutable scaleDen;
    int64 private immutable zeroPoint;
    uint8 private immutable outputType;

    /// Last digit that an account had read, plus one; 0 for none.
    mapping(address reader => uint256) private readings;

    event DigitRead(address indexed reader, uint256 indexed digit, bytes32 imageHash);

    error NotAnImage(uint256 expected, uint256 got);
    error PixelOutOfRange(uint256 index, uint8 value);
    error NothingRead(address reader);
    error NotADigitModel(bytes32 model);

    /// @param model_ a published model with one input and one output of ten scores
    constructor(bytes32 model_) {
        IModelRegistry.ModelInfo memory info = Assay.REGISTRY.modelInfo(model_);
        if (info.inputs.length != 1 || info.outputs.length != 1) revert NotADigitModel(model_);
        if (info.outputBytes != 10 * Assay.sizeOf(info.outputs[0].dtype)) revert NotADigitModel(model_);
        model = model_;
        pixels = info.inputBytes / Assay.sizeOf(info.inputs[0].dtype);
        inputType = info.inputs[0].dtype;
        scaleNum = info.inputs[0].scaleNum;
        scaleDen = info.inputs[0].scaleDen;
        zeroPoint = info.inputs[0].zeroPoint;
        outputType = info.outputs[0].dtype;
    }

    /// The digit and the ten scores in wads.
    function classify(bytes calldata image) external view returns (uint256 digit, int256[] memory scores) {
        return Assay.classify(model, _wads(image));
    }

    /// Read a digit in consensus and keep it.
    function read(bytes calldata image) external returns (uint256 digit) {
        IModelRegistry.Port memory port =
            IModelRegistry.Port("image", inputType, new uint32[](0), scaleNum, scaleDen, zeroPoint);
        bytes memory raw = Assay.inferAndLog(model, Assay.encode(port, _wads(image)));
        digit = Assay.argmax(Assay.words(outputType, raw));
        readings[msg.sender] = digit + 1;
        emit DigitRead(msg.sender, digit, keccak256(image));
    }

    /// The digit that `reader` had read last.
    function lastDigit(address reader) external view returns (uint256) {
        uint256 reading = readings[reader];
        if (reading == 0) revert NothingRead(reader);
        return reading - 1;
    }

    function _wads(bytes calldata image) private view returns (int256[] memory) {
        if (image.length != pixels) revert NotAnImage(pixels, image.length);
        for (uint256 i = 0; i < image.length; i++) {
            if (uint8(image[i]) > 16) revert PixelOutOfRange(i, uint8(image[i]));
        }
        return Assay.toWads(image);
    }
}
