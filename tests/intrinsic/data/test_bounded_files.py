"""What a file or a mirror may take: no more than its header says, than memory holds, than a dataset asks for."""

import gzip
import io
import struct
import tracemalloc
import urllib.request
from email.message import Message

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intrinsic.data.cifar10 import cifar10
from intrinsic.data.downloads import download
from intrinsic.data.read_idx import read_idx
from intrinsic.errors import UserError

GOOD = struct.pack(">4I", 0x0803, 2, 3, 4) + bytes(range(24))
MEGABYTE = 1 << 20


def header(*shape, magic=None):
    return struct.pack(f">{1 + len(shape)}I", magic or 0x0800 + len(shape), *shape)


def refused(match, function, *args, **options):
    with pytest.raises(UserError, match=match) as caught:
        function(*args, **options)
    assert str(caught.value).isprintable()


def packed(tmp_path, content):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    return path


def bomb(start, size=1 << 28):
    """A packed file of `start` and zeros, a thousandth of what it unpacks to."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1) as file:
        file.write(start)
        for _ in range(size // MEGABYTE):
            file.write(bytes(MEGABYTE))
    return buffer.getvalue()


def test_a_bomb_is_not_unpacked(tmp_path):
    path = packed(tmp_path, bomb(GOOD))
    tracemalloc.start()
    refused(r"idx3-ubyte.gz: need 2 x 3 x 4 > 0 bytes after the header, got more: delete train", read_idx, path, dims=3)
    assert tracemalloc.get_traced_memory()[1] < 8 * MEGABYTE
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (gzip.compress(header(1 << 31, 1 << 31, 1 << 31), mtime=0), "> 0 bytes after the header, got fewer"),
        (gzip.compress(header(60000, 28, 28), mtime=0), "> 0 bytes after the header, got fewer"),
        (gzip.compress(GOOD[:-1], mtime=0), "got 23"),
        (gzip.compress(GOOD + b"0", mtime=0), "got more"),
        (gzip.compress(GOOD, mtime=0) + b"garbage", "need an undamaged gzip file, got Not a gzipped file"),
        (gzip.compress(GOOD, mtime=0) + gzip.compress(b"more", mtime=0), "got more"),
        (gzip.compress(GOOD, mtime=0)[:-4], "need an undamaged gzip file, got Compressed file ended"),
        (gzip.compress(GOOD, mtime=0)[:-5] + b"12345", "need an undamaged gzip file, got (CRC|Incorrect)"),
        (gzip.compress(header(0, 3, 4), mtime=0), "need 0 x 3 x 4 > 0 bytes"),
        (gzip.compress(header(2, 3, 4, magic=0x0D03) + GOOD[16:], mtime=0), "need magic number 2051, got 3331"),
        (gzip.compress(header(2, 3, 4, magic=0x0802) + GOOD[16:], mtime=0), "need magic number 2051, got 2050"),
        (gzip.compress(b"\0\0", mtime=0), "need a header of 16 bytes, got 2 bytes"),
        (b"", "need a header of 16 bytes, got 0 bytes|undamaged gzip"),
    ],
)
def test_harmed_packed_files(tmp_path, content, match):
    refused(match, read_idx, packed(tmp_path, content), dims=3)


def test_an_undamaged_file(tmp_path):
    path = tmp_path / "plain"
    path.write_bytes(GOOD)
    expected = np.arange(24).reshape(2, 3, 4)
    assert np.array_equal(read_idx(path, dims=3).numpy(), expected)
    assert np.array_equal(
        read_idx(packed(tmp_path, gzip.compress(GOOD, mtime=0) + bytes(9)), dims=3).numpy(), expected
    )  # padded


def test_files_beyond_memory(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte"
    with path.open("wb") as file:
        file.write(header(1 << 20, 1 << 10, 1 << 10))
        file.truncate(16 + (1 << 40))  # of holes: it takes no room on disk
    refused(r"needs 6597.1 GB, .* GB of memory are free: use a smaller one", read_idx, path, dims=3)
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        with (folder / name).open("wb") as file:
            file.truncate(3073 << 28)
    options = {"rotate": 0, "shuffle_pixels": False, "shuffle_labels": False, "fraction": 1.0, "seed": 0}
    refused(r"data_batch_1.bin needs 4949.4 GB, .* use a smaller one", cifar10, data_dir=tmp_path, **options)
    refused("zero: cannot be read .not a regular file.", read_idx, type(path)("/dev/zero"), dims=3)


@given(st.data())
def test_any_change_of_a_file_is_one_line_or_the_same_numbers(tmp_path, data):
    zipped = data.draw(st.booleans())
    whole = gzip.compress(GOOD, mtime=0) if zipped else GOOD
    place = data.draw(st.integers(0, len(whole)))
    dropped, added = data.draw(st.integers(0, 9)), data.draw(st.binary(max_size=9))
    path = tmp_path / ("file.gz" if zipped else "file")
    path.write_bytes(whole[:place] + added + whole[place + dropped :])
    try:
        found = read_idx(path, dims=3)
    except UserError as error:
        message = str(error)
    else:
        message = str(path)
        assert found.numel() == 24
        assert not zipped or found.flatten().tolist() == list(range(24))  # a packed file has a checksum
    assert message.isprintable()
    assert str(path) in message


# Downloads

MIRROR = "https://www.cs.toronto.edu/~kriz/file"


@pytest.fixture
def network(monkeypatch):
    """Answers by address, and what was asked for."""
    answers, asked = {}, []

    def https_open(self, request):
        asked.append(request.full_url)
        code, headers, content = answers.get(request.full_url, (404, {}, b""))
        message = Message()
        for name, value in headers.items():
            message[name] = value
        response = urllib.request.addinfourl(io.BytesIO(content), message, request.full_url, code)
        response.msg = "as asked"
        return response

    monkeypatch.setattr(urllib.request.HTTPSHandler, "https_open", https_open)
    return answers, asked


@pytest.mark.parametrize(
    "url",
    ["data:,evil", "file:///etc/passwd", "http://www.cs.toronto.edu/file", "ftp://www.cs.toronto.edu/file",
     "https://evil.example/file", "https://www.cs.toronto.edu@evil.example/", "https://www.cs.toronto.edu:8443/",
     "file", "https://www.cs.toronto.edu.evil.example/", "//www.cs.toronto.edu/file", "https://[::1", "\x1b[2J"],
)  # fmt: skip
def test_where_nothing_is_asked_for(network, url):
    answers, asked = network
    for urls in ([url], [url, MIRROR]):
        refused(r"cannot download .*: need https, and ossci-", download, urls, md5="0", size=100, place="it")
    assert not asked
    answers[MIRROR] = (302, {"Location": url}, b"")
    refused(r"cannot download \(", download, [MIRROR], md5="0", size=100, place="it")
    assert all(each.startswith("https://www.cs.toronto.edu/") for each in asked)  # relative ones stay there


def test_it_follows_to_hosts_of_ours(network):
    answers, asked = network
    other = "https://storage.googleapis.com/file"
    answers[MIRROR], answers[other] = (301, {"Location": other}, b""), (200, {"Content-Length": "many"}, b"abc")
    found = download([MIRROR], md5="900150983cd24fb0d6963f7d28e17f72", size=3, place="it")
    assert (found, asked) == (b"abc", [MIRROR, other])
    answers[other] = (302, {"Location": MIRROR}, b"")
    refused(r"cannot download \(.*infinite loop", download, [MIRROR], md5="0", size=3, place="it")
    answers[MIRROR] = (404, {}, b"absent")
    refused(r"HTTPError HTTP Error 404: as asked", download, [MIRROR], md5="0", size=3, place="it")


def test_it_takes_no_more_than_was_asked_for(network):
    answers, _ = network
    answers[MIRROR] = (200, {}, bytes(4 * MEGABYTE))
    refused("need 3 bytes at most, got more", download, [MIRROR], md5="0", size=3, place="it")
    answers[MIRROR] = (200, {}, bomb(b"", 1 << 26))
    tracemalloc.start()
    refused(f"need {MEGABYTE} unpacked bytes at most, got more", download, [MIRROR], md5="0", size=MEGABYTE, place="it",
            packed=True)  # fmt: skip
    assert tracemalloc.get_traced_memory()[1] < 8 * MEGABYTE
    tracemalloc.stop()
    for content in (gzip.compress(b"abc", mtime=0)[:-1], gzip.compress(b"abc", mtime=0) + b"more", b""):
        answers[MIRROR] = (200, {}, content)
        refused(
            "the gzip file is cut off, or has data after its end",
            download,
            [MIRROR],
            md5="0",
            size=99,
            place="it",
            packed=True,
        )
