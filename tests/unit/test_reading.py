"""Reading of files that a user names: what is no regular file is refused at once, and JSON is bounded."""

import json
import os
import socket

import pytest

from impasto.reading import check_regular, open_regular, read_json, read_json_file


def test_regular_files_and_links_to_them_are_opened(tmp_path):
    (tmp_path / "a").write_bytes(b"data")
    (tmp_path / "link").symlink_to("a")
    for name in ("a", "link"):
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"data"


def test_what_is_no_regular_file_is_refused_before_it_is_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "dead").symlink_to("nothing")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for path, words in [
            (tmp_path / "pipe", "named pipe"),
            (tmp_path / "link", "named pipe"),
            (tmp_path / "socket", "socket"),
            ("/dev/zero", "device"),
            (tmp_path, "folder"),
            (tmp_path / "dead", "No such file"),
        ]:
            with pytest.raises(OSError, match=words):
                check_regular(path)
            with pytest.raises(OSError, match=words):
                open_regular(path)


def nested(depth):
    return "[" * depth + "]" * depth


@pytest.mark.parametrize("depth", [102, 900, 1100, 100_000])
@pytest.mark.parametrize("text", [nested, lambda depth: '{"a":' * depth + "1" + "}" * depth])
def test_json_that_is_nested_deeply_is_refused(depth, text):
    with pytest.raises(ValueError, match="nested"):
        read_json(text(depth))


def test_other_json_is_read(tmp_path):
    assert read_json(nested(100)) == json.loads(nested(100))
    assert read_json(b'{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}
    (tmp_path / "a.json").write_bytes(b'{"a": "\xff"}')
    assert read_json_file(tmp_path / "a.json") == {"a": "\ufffd"}


@pytest.mark.parametrize("text", ["", "{", "[1,]", "\ufeff{}", "9" * 5000, '"\\ud8'])
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError, match="."):
        read_json(text)


def test_a_file_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("impasto.reading._MAX_JSON", 1 << 20)
    with open(tmp_path / "a.json", "wb") as file:
        file.truncate(1 << 40)  # a terabyte of zeros, which takes no place
    with pytest.raises(ValueError, match="more than 1 MB"):
        read_json_file(tmp_path / "a.json")
