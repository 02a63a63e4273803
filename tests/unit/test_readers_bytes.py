"""A file as bytes: packed or not, damaged, in UTF-8 or not, in lines of any length."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import zstandard

from etl.readers.open import LONGEST_LINE, has_long_line, require_utf8
from etl.readers.source import Source
from sql.errors import InputError
from tests.support.readers import HEADER, ROW, read


def test_wrong_encoding_says_line_and_byte() -> None:
    content = (HEADER + ROW.format("W1") + ROW.format("Müller")).encode("latin-1")
    with pytest.raises(InputError, match=r"line 3, byte 29 of the line is 0xfc"):
        read(content)
    with pytest.raises(InputError, match=r"line 3, byte 30 of the line is 0xfc"):
        read(content.replace(b"M\xfcller", b'"M\xfcller"'))


def test_utf8_is_checked_across_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etl.readers.open._UTF8_PIECE", 3)
    require_utf8("aé😀ü\nbcdé".encode(), "f", 1)
    with pytest.raises(InputError, match=r"line 2, byte 3 of the line is 0xff"):
        require_utf8("aé😀ü\né".encode() + b"\xff", "f", 1)
    with pytest.raises(InputError, match="line 1, byte 2 "):
        require_utf8("a😀".encode()[:-1], "f", 1)


def test_long_lines_are_never_missed() -> None:
    lines = b"x" * 1000 + b"\n"
    assert not has_long_line(lines * 500)
    for at in (0, 1, 77, 300):
        found = lines * at + b"y" * (LONGEST_LINE + 1) + b"\n" + lines * (300 - at)
        assert has_long_line(found)


@pytest.mark.parametrize(
    "pack",
    [lambda data: data, gzip.compress, zstandard.compress],
    ids=["", "gz", "zst"],
)
def test_content_is_the_same_however_it_is_packed(tmp_path: Path, pack: object) -> None:
    content = b"".join(b"%d,%d\n" % (i, i * i) for i in range(300_000))
    path = tmp_path / "f"
    path.write_bytes(pack(content))  # type: ignore[operator]
    found = b""
    with Source(str(path), 100_000) as source:
        while data := source.fill():
            found += data
            source.take(len(data), data.count(b"\n"))
        assert source.offset == len(content)
        assert source.line == 300_001
    assert found == content


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gz", "zst"])
@pytest.mark.parametrize("damage", ["cut", "garbled"])
def test_a_damaged_file_says_so(tmp_path: Path, pack: object, damage: str) -> None:
    content = b"".join(b"%d,%d\n" % (i, i * i) for i in range(100_000))
    packed = bytearray(pack(content))  # type: ignore[operator]
    if damage == "cut":
        packed = packed[: len(packed) // 2]
    else:
        packed[len(packed) // 2 : len(packed) // 2 + 50] = bytes(50)
    path = tmp_path / "f.csv"
    path.write_bytes(packed)
    with (
        Source(str(path)) as source,
        pytest.raises(InputError, match="damaged or cut short after"),
    ):
        source.fill()


def test_several_frames_are_one_content(tmp_path: Path) -> None:
    for pack in (gzip.compress, zstandard.compress):
        path = tmp_path / "f"
        path.write_bytes(pack(b"one\n") + pack(b"two\n"))
        with Source(str(path)) as source:
            assert source.fill() == b"one\ntwo\n"
