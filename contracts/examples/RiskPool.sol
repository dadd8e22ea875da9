// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Assay} from "../Assay.sol";

/// @title A lending pool that prices risk with a model
/// @notice A model turns a borrower's features into class probabilities; the probability of the bad
/// class refuses the loan or sets its interest. Who attests the features is beyond this example: here
/// the pool's keeper does.
contract RiskPool {
    struct Loan {
        uint256 principal;
        uint256 interest;
    }

    bytes32 public immutable model;
    uint256 public immutable badClass;
    int256 public immutable maxRisk; // wad
    address public immutable keeper;

    int256 public constant BASE_RATE = 0.02e18;
    int256 public constant RISK_RATE = 0.5e18;

    mapping(address borrower => Loan) public loans;
    mapping(address lender => uint256) public deposits;

    event Deposited(address indexed lender, uint256 amount);
    event Withdrawn(address indexed lender, uint256 amount);
    event Borrowed(address indexed borrower, uint256 principal, uint256 interest, int256 risk);
    event Repaid(address indexed borrower, uint256 amount);

    error NotKeeper(address caller);
    error RiskTooHigh(int256 risk, int256 max);
    error NotEnoughLiquidity(uint256 wanted, uint256 available);
    error LoanOpen(address borrower);
    error NoLoan(address borrower);
    error WrongAmount(uint256 expected, uint256 got);
    error NoSuchClass(uint256 class_, uint256 classes);
    error TransferFailed(address to);

    constructor(bytes32 model_, uint256 badClass_, int256 maxRisk_) {
        model = model_;
        badClass = badClass_;
        maxRisk = maxRisk_;
        keeper = msg.sender;
    }

    function deposit() external payable returns (uint256) {
        deposits[msg.sender] += msg.value;
        emit Deposited(msg.sender, msg.value);
        return deposits[msg.sender];
    }

    function withdraw(uint256 amount) external returns (uint256) {
        deposits[msg.sender] -= amount; // panics when it is more than was deposited
        emit Withdrawn(msg.sender, amount);
        _send(msg.sender, amount);
        return deposits[msg.sender];
    }

    /// Probability of the bad class, in wads: what the model says about these features (wads).
    function riskOf(int256[] memory features) public view returns (int256) {
        int256[] memory probabilities = Assay.inferWad(model, features);
        if (badClass >= probabilities.length) revert NoSuchClass(badClass, probabilities.length);
        int256 risk = probabilities[badClass];
        return risk < 0 ? int256(0) : risk; // a rounded probability may lie just below 0
    }

    /// Interest on a principal at a risk.
    function interestOf(uint256 principal, int256 risk) public pure returns (uint256) {
        int256 rate = BASE_RATE + Assay.mulWad(RISK_RATE, risk);
        return (principal * uint256(rate)) / 1e18;
    }

    /// Lend `principal` to a borrower with these features, at the rate that the model implies.
    function lend(address borrower, uint256 principal, int256[] calldata features) external returns (uint256 interest) {
        if (msg.sender != keeper) revert NotKeeper(msg.sender);
        if (loans[borrower].principal != 0) revert LoanOpen(borrower);
        if (principal > address(this).balance) revert NotEnoughLiquidity(principal, address(this).balance);
        int256 risk = riskOf(features);
        if (risk > maxRisk) revert RiskTooHigh(risk, maxRisk);
        interest = interestOf(principal, risk);
        loans[borrower] = Loan(principal, interest);
        emit Borrowed(borrower, principal, interest, risk);
        _send(borrower, principal);
    }

    /// Pay back principal and interest at once.
    function repay() external payable returns (uint256 paid) {
        Loan memory loan = loans[msg.sender];
        if (loan.principal == 0) revert NoLoan(msg.sender);
        paid = loan.principal + loan.interest;
        if (msg.value != paid) revert WrongAmount(paid, msg.value);
        delete loans[msg.sender];
        emit Repaid(msg.sender, paid);
    }

    function _send(address to, uint256 amount) private {
        (bool done,) = to.call{value: amount}("");
        if (!done) revert TransferFailed(to);
    }
}
