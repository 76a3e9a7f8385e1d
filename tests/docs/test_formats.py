"""docs/formats.md: its tables are what loading each file gives."""

from pathlib import Path

from layouts import tables

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"


def test_the_tables_are_what_each_file_gives(tmp_path):
    assert tables(tmp_path) in PAGE.read_text(), "write them anew: python tests/layouts.py"
