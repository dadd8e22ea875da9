"""Click commands: flags in, calls to the modules above, text or JSON out."""
