// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title The validators, in state
/// @notice Nobody owns the set: a majority of its members adds and removes members. The set after a
/// block decides who may sign the next one. Genesis writes the first members into storage, so there
/// is no constructor. Storage layout is read by light clients: `validators` stays at slot 0.
contract ValidatorSet {
    /// More members than this would make a commit certificate too large to be useful.
    uint256 public constant MAX_VALIDATORS = 100;

    address[] private validators; // slot 0; order is without meaning

    /// Number of changes so far. Votes belong to an epoch, so a change discards all open votes: a
    /// member that left can never be counted, and an old vote never meets a new set.
    uint256 public epoch; // slot 1

    mapping(uint256 epoch => mapping(address candidate => mapping(bool add => mapping(address voter => bool))))
        private votes; // slot 2

    event Voted(address indexed voter, address indexed candidate, bool add, uint256 votes, uint256 needed);
    event VoteWithdrawn(address indexed voter, address indexed candidate, bool add);
    event ValidatorAdded(address indexed validator, uint256 validators);
    event ValidatorRemoved(address indexed validator, uint256 validators);

    error NotValidator(address account);
    error AlreadyValidator(address account);
    error ZeroAddress();
    error LastValidator(address account);
    error TooManyValidators(uint256 validators);
    error AlreadyVoted(address voter, address candidate, bool add);
    error NoSuchVote(address voter, address candidate, bool add);

    modifier onlyValidator() {
        if (!isValidator(msg.sender)) revert NotValidator(msg.sender);
        _;
    }

    /// All members, in no particular order.
    function getValidators() external view returns (address[] memory) {
        return validators;
    }

    function validatorCount() external view returns (uint256) {
        return validators.length;
    }

    function isValidator(address account) public view returns (bool) {
        for (uint256 i = 0; i < validators.length; i++) {
            if (validators[i] == account) return true;
        }
        return false;
    }

    /// Votes that a change needs: more than half of the present members.
    function needed() public view returns (uint256) {
        return validators.length / 2 + 1;
    }

    /// Votes cast so far for adding or removing `candidate`.
    function votesFor(address candidate, bool add) public view returns (uint256 count) {
        for (uint256 i = 0; i < validators.length; i++) {
            if (votes[epoch][candidate][add][validators[i]]) count++;
        }
    }

    /// Vote for adding (`add`) or removing `candidate`. The vote that completes the majority changes
    /// the set at once; the next block is the first that the new set signs.
    /// @return changed whether this vote changed the set.
    function vote(address candidate, bool add) external onlyValidator returns (bool changed) {
        _check(candidate, add);
        if (votes[epoch][candidate][add][msg.sender]) revert AlreadyVoted(msg.sender, candidate, add);
        votes[epoch][candidate][add][msg.sender] = true;
        uint256 count = votesFor(candidate, add);
        emit Voted(msg.sender, candidate, add, count, needed());
        if (count < needed()) return false;
        epoch++;
        if (add) _add(candidate);
        else _remove(candidate);
        return true;
    }

    /// Take back an open vote.
    function withdrawVote(address candidate, bool add) external onlyValidator returns (bool) {
        if (!votes[epoch][candidate][add][msg.sender]) revert NoSuchVote(msg.sender, candidate, add);
        votes[epoch][candidate][add][msg.sender] = false;
        emit VoteWithdrawn(msg.sender, candidate, add);
        return true;
    }

    function _check(address candidate, bool add) private view {
        if (candidate == address(0)) revert ZeroAddress();
        bool member = isValidator(candidate);
        if (add) {
            if (member) revert AlreadyValidator(candidate);
            if (validators.length >= MAX_VALIDATORS) revert TooManyValidators(validators.length);
        } else {
            if (!member) revert NotValidator(candidate);
            if (validators.length == 1) revert LastValidator(candidate);
        }
    }

    function _add(address candidate) private {
        validators.push(candidate);
        emit ValidatorAdded(candidate, validators.length);
    }

    function _remove(address candidate) private {
        uint256 last = validators.length - 1;
        for (uint256 i = 0; i < last; i++) {
            if (validators[i] == candidate) validators[i] = validators[last];
        }
        validators.pop();
        emit ValidatorRemoved(candidate, validators.length);
    }
}
