"""Reports of runs: page, tables, charts."""
