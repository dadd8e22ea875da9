"""``assay genesis``: make and show genesis files."""
