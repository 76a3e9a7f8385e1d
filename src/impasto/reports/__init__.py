"""Reports of runs: page, tables, charts, sheets of samples."""
