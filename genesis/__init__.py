"""What the chain starts from: genesis files, fixed addresses, predeployed accounts."""
