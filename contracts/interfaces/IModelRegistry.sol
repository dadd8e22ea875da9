// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title ModelRegistry, a native account at 0x…A101
/// @notice A model is bytes, and its id is their keccak256. Uploading and publishing have nothing to do
/// with names: repositories, releases and aliases give names to ids.
interface IModelRegistry {
    /// One input or output of a model: real value = scaleNum / scaleDen * (q - zeroPoint).
    struct Port {
        string name;
        uint8 dtype; // 1 u8, 2 s8, 3 s16, 4 s32, 5 s64
        uint32[] shape; // of one sample
        uint64 scaleNum;
        uint64 scaleDen;
        int64 zeroPoint;
    }

    struct ModelInfo {
        uint8 status; // 1 upload has begun, 2 published
        uint32 size; // bytes
        uint32 chunkSize;
        uint32 chunks;
        uint32 missing; // chunks not there yet
        address uploader;
        uint64 begunBlock;
        uint64 publishedBlock; // this and all below: 0 or empty until published
        uint64 workBound; // gas of one sample in `infer`, without the bytes carried
        uint64 gasPerCall;
        uint64 gasPerSample;
        uint64 inputBytes; // of one sample, raw
        uint64 outputBytes;
        Port[] inputs;
        Port[] outputs;
    }

    event ModelBegun(bytes32 indexed modelId, address indexed uploader, uint32 size, uint32 chunkSize);
    event ChunkUploaded(bytes32 indexed modelId, uint32 indexed index, address indexed sender, uint32 missing);
    event ModelPublished(bytes32 indexed modelId, address indexed publisher, uint32 size, uint64 workBound);
    event RepositoryCreated(bytes32 indexed repo, address indexed owner, string name, string description);
    event Released(
        bytes32 indexed repo, uint32 indexed index, bytes32 indexed modelId, string version, string notes
    );
    event RepositoryTransferred(bytes32 indexed repo, address indexed from, address indexed to);
    event ReleaseDeprecated(bytes32 indexed repo, uint32 indexed index, bool deprecated);
    event AliasSet(bytes32 indexed aliasHash, bytes32 indexed modelId, string alias_);

    error ModelNotFound(bytes32 model);
    error UploadNotBegun(bytes32 model);
    error AlreadyPublished(bytes32 model);
    error InvalidSize(uint256 size, uint256 max);
    error InvalidChunkSize(uint256 chunkSize, uint256 min, uint256 max);
    error InvalidChunkIndex(uint256 index, uint256 chunks);
    error ChunkLengthMismatch(uint256 expected, uint256 got);
    error ChunksMissing(uint256 missing);
    error ModelIdMismatch(bytes32 expected, bytes32 got);
    error InvalidModel(string reason);
    error InvalidRange(uint256 offset, uint256 length, uint256 size);

    error InvalidName(string name);
    error InvalidVersion(string version);
    error TextTooLong(uint256 length, uint256 max);
    error RepositoryExists(bytes32 repo);
    error RepositoryNotFound(bytes32 repo);
    error NotOwner(address owner, address caller);
    error VersionExists(bytes32 repo, string version);
    error ReleaseNotFound(bytes32 repo, uint256 index);
    error ZeroAddress();
    error UnknownModel(string modelReference);
    error InvalidAlias(string alias_);
    error AliasExists(string alias_);
    error NotAliasAuthority(address authority, address caller);

    error UnknownFunction(bytes4 selector);
    error InvalidCalldata();
    error NonPayable();
    error DelegateCallNotSupported();

    /// Announce an upload. Repeating it with the same numbers changes nothing; other numbers replace
    /// them, as long as the model is not published: the id alone says what the bytes must be.
    function begin(bytes32 modelId, uint32 size, uint32 chunkSize) external returns (uint32 chunks);

    /// Store chunk `index`, by anyone. A chunk that is there already costs only its calldata; one with
    /// other bytes is replaced until the model is published.
    function upload(bytes32 modelId, uint32 index, bytes calldata chunk) external returns (uint32 missing);

    /// Check the id over all chunks, decode, prove legality, and freeze the model for ever.
    /// @return workBound gas of one sample in `infer`, without the bytes carried
    function publish(bytes32 modelId) external returns (uint64 workBound);

    function modelInfo(bytes32 modelId) external view returns (ModelInfo memory);

    /// Bytes `offset` to `offset + length` of a published model.
    function modelBytes(bytes32 modelId, uint32 offset, uint32 length) external view returns (bytes memory);

    /// A name for models under the caller's address. `name`: 1 to 64 of `a-z 0-9 . _ -`, starting with a
    /// letter or digit. The address stays part of the name when the repository is transferred.
    function createRepository(string calldata name, string calldata description) external returns (bytes32 repo);

    /// Name a published model. `version`: 1 to 32 of `A-Z a-z 0-9 . + _ -`, starting with a letter or
    /// digit. A release never changes.
    function release(bytes32 repo, string calldata version, bytes32 modelId, string calldata notes)
        external
        returns (uint32 index);

    // The published model that a reference means:
    // `0x` + 64 hex digits: the model id;
    // `bafkrwi…`: the id as CIDv1 (base32, raw, keccak-256);
    // `owner/name@version`: that release; `owner/name`: the newest that is not deprecated, with
    // `owner` = `0x` + 40 hex digits;
    // anything else: an alias.
    function resolve(string calldata modelReference) external view returns (bytes32 modelId);

    /// Write-once, by the alias authority named in genesis.
    function setAlias(string calldata alias_, bytes32 modelId) external returns (bool);

    function transferRepository(bytes32 repo, address to) external returns (bool);

    function setDeprecated(bytes32 repo, uint32 index, bool deprecated) external returns (bool);
}
