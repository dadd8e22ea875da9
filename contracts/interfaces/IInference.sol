// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Inference, a native account at 0x…A100
/// @notice Runs a published model in integer arithmetic. Every validator runs it again; the answer is
/// the same on every machine, in a transaction and in `eth_call`.
interface IInference {
    /// @param inputHash keccak256 of `input`
    /// @param outputHash keccak256 of `output`
    event Inference(
        bytes32 indexed model,
        address indexed caller,
        bytes32 inputHash,
        bytes32 outputHash,
        bytes input,
        bytes output
    );

    /// The id is unknown, or its bytes are not published.
    error ModelNotFound(bytes32 model);
    /// Bytes for `infer`, numbers for `inferWad` and `classify`; `expected` is for a whole batch.
    error InputLengthMismatch(uint256 expected, uint256 got);
    /// A decimal outside (-2**127, 2**127) that is not the missing value -2**127 of a tree model.
    error DecimalOutOfRange(uint256 index, int256 value);
    error InvalidBatch(uint256 batch);
    error UnknownFunction(bytes4 selector);
    error InvalidCalldata();
    error NonPayable();
    error DelegateCallNotSupported();

    /// Raw tensors, sample after sample: all inputs in declared order, row-major, little-endian two's
    /// complement of each declared dtype, unpadded. The batch follows from the length.
    function infer(bytes32 model, bytes calldata input) external view returns (bytes memory output);

    /// Fixed point with 18 decimals in and out; quantised and dequantised by exact integer rules.
    function inferWad(bytes32 model, int256[] calldata input) external view returns (int256[] memory output);

    /// For each sample the index of the largest number of the model's first output (the lowest index
    /// wins ties); and all outputs as `inferWad` returns them.
    function classify(bytes32 model, int256[] calldata input)
        external
        view
        returns (uint256[] memory label, int256[] memory scores);

    /// Gas that `infer` itself takes for this batch: without the caller's memory, calldata and CALL.
    function gasFor(bytes32 model, uint256 batch) external view returns (uint256);

    /// Same as `infer`, and leaves a log that holds input and output whole, so that a receipt proof
    /// alone carries the statement. Not callable in a static context.
    function inferAndLog(bytes32 model, bytes calldata input) external returns (bytes memory output);
}
