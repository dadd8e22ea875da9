"""Plans of tree ensembles."""
