"""Data made to harm, or damaged: each refused in one line that names the file, at once, and before what it declares is read."""

import gzip
import io
import os
import signal
import socket
import struct
import time
import zipfile
import zlib

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from nash_tf import data
from nash_tf.data import idx, limits

SECONDS = 1.0
TERABYTE = 1 << 40
GIGABYTES = 4 << 30


def npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, array)
    return file.getvalue()


def header(text, version=1):
    padded = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + bytes((version, 0)) + struct.pack("<H", len(padded)) + padded


def claim(shape, descr="|u1"):
    return header(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}")


def archive(root, compression=zipfile.ZIP_STORED, more=(), **changed):
    """An .npz whose members are as they should be, but for some given as bytes, or left out where None."""
    x, y = np.tile(np.arange(20, dtype=np.uint8)[:, None, None], (1, 4, 4)), np.arange(20) % 2
    content = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    content = {name: npy(array) for name, array in content.items()} | changed
    path = root / "a.npz"
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, raw in [*content.items(), *more]:
            if raw is not None:
                file.writestr(f"{name}.npy", raw)
    return path


def patched(path, offset, form, value):
    """The archive with a field of the first entry of its directory overwritten."""
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, content.index(b"PK\x01\x02") + offset, value)
    path.write_bytes(content)
    return path


def sparse_npz(root):
    """4 GB of zeros, as the directory and the header agree."""
    rows = GIGABYTES // 16 - 100
    path = archive(root, zipfile.ZIP_DEFLATED, x_train=claim((rows, 4, 4)) + bytes(1 << 16))
    return patched(path, 24, "<I", 128 + 16 * rows)


def folder(root):
    for name in ("bolt", "nut"):
        (root / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (6, 5), (number, 20, 30)).save(root / name / f"{number}.png")
    return root / "nut" / "0.png"


def in_folder(make):
    """A folder in which one image file was replaced."""

    def made(root):
        path = folder(root)
        path.unlink()
        make(path)
        return root

    return made


def socket_at(path):
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(path.parent)  # the name of a socket is at most 108 bytes
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


def png_of(width, height):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    start = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", start) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def encoded(kind):
    file = io.BytesIO()
    Image.new("RGB", (6, 5)).save(file, kind)
    return file.getvalue()


def postscript(path):
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 5\n%%EndComments\n")


def idx_folder(root, images, suffix=""):
    for name, rank in idx.FILES.items():
        array = np.zeros((20, 4, 4), np.uint8) if rank == 3 else np.arange(20, dtype=np.uint8) % 2
        sides = b"".join(struct.pack(">I", side) for side in array.shape)
        (root / name).write_bytes(bytes((0, 0, 8, rank)) + sides + array.tobytes())
    (root / "train-images-idx3-ubyte").unlink()
    (root / f"train-images-idx3-ubyte{suffix}").write_bytes(images)
    return root


def idx_header(*sides):
    return bytes((0, 0, 8, 3)) + b"".join(struct.pack(">I", side) for side in sides)


def zeros_gz():
    """4 GB of zeros as the header says, in 4 MB."""
    return gzip.compress(idx_header(1 << 18, 128, 128)) + 256 * gzip.compress(bytes(1 << 24))


def special(path, make):
    make(path)
    return path


class Evil:
    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def pickled(root):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array([Evil()] * 20, object), allow_pickle=True)
    return archive(root, y_train=file.getvalue())


HOSTILE = {
    "PostScript named .png": (in_folder(postscript), "0.png"),
    "icon named .png": (in_folder(lambda path: path.write_bytes(encoded("ICO"))), "0.png"),
    "JPEG 2000 named .png": (in_folder(lambda path: path.write_bytes(encoded("JPEG2000"))), "0.png"),
    "pipe named .png": (in_folder(os.mkfifo), "pipe"),
    "socket named .png": (in_folder(socket_at), "socket"),
    "folder named .png": (in_folder(os.mkdir), "got a folder"),
    "link to itself": (in_folder(lambda path: path.symlink_to(path.name)), "link to nothing"),
    "link to nothing": (in_folder(lambda path: path.symlink_to("gone.png")), "link to nothing"),
    "link to a device": (in_folder(lambda path: path.symlink_to("/dev/zero")), "link"),
    "link to a loop of folders": (
        lambda root: folder(root) and (root / "z").symlink_to("z") or root,
        "link to nothing",
    ),
    "PNG of 10 gigapixels": (
        in_folder(lambda path: path.write_bytes(png_of(100_000, 100_000))),
        "(256 of a JPEG), got",
    ),
    "PNG of 100 megapixels": (in_folder(lambda path: path.write_bytes(png_of(10_000, 10_000))), "(256 of a JPEG), got"),
    "PNG of 80 megapixels without pixels": (in_folder(lambda path: path.write_bytes(png_of(9000, 9000))), "0.png"),
    "pipe named .npz": (lambda root: special(root / "a.npz", os.mkfifo), "a.npz"),
    "link to itself named .npz": (lambda root: special(root / "a.npz", lambda p: p.symlink_to("a.npz")), "a.npz"),
    "name too long": (lambda root: root / ("x" * 5000), "too long"),
    "4 GB of zeros in an .npz": (sparse_npz, "4.3 GB"),
    "a shape of terabytes": (lambda root: archive(root, x_train=claim((TERABYTE, 4, 4))), "x_train"),
    "a shape of terabytes, alike in the directory": (
        lambda root: patched(archive(root, x_train=claim((1 << 28, 4, 4))), 24, "<I", 0xFFFFFFF0),
        "x_train",
    ),
    "a shape beyond 64 bits": (lambda root: archive(root, x_train=claim((TERABYTE, TERABYTE, 4))), "x_train"),
    "a negative shape": (lambda root: archive(root, x_train=claim((-20, -4, 4)) + bytes(320)), "x_train"),
    "fewer values than the shape": (lambda root: archive(root, x_train=claim((20, 4, 4)) + bytes(100)), "x_train"),
    "more values than the shape": (lambda root: archive(root, x_train=claim((20, 4, 4)) + bytes(500)), "x_train"),
    "values of no size": (lambda root: archive(root, x_train=claim((TERABYTE, 4, 4), "|S0")), "x_train"),
    "a header that nests": (lambda root: archive(root, x_train=header("(" * 100)), "x_train"),
    "a header of no version": (lambda root: archive(root, x_train=header("{}", 9)), "x_train"),
    "a pickle": (pickled, "plain numeric array"),
    "encrypted": (lambda root: patched(archive(root), 8, "<H", 1), "encrypted"),
    "strongly encrypted": (lambda root: patched(archive(root), 8, "<H", 0x41), "a.npz"),
    "compressed by LZMA": (lambda root: archive(root, zipfile.ZIP_LZMA), "another compression"),
    "a compressed size beyond the file": (lambda root: patched(archive(root), 20, "<I", 1 << 31), "fetch it again"),
    "a name twice": (lambda root: archive(root, more=[("x_test", b"")]), "each array once"),
    "names that lead out": (lambda root: archive(root, x_train=None, more=[("../x_train", b"")]), "x_train is missing"),
    "thousands of members": (
        lambda root: archive(root, x_train=None, more=[(f"{n}", b"") for n in range(3000)]),
        "2,995 more",
    ),
    "names of control characters": (
        lambda root: archive(root, x_train=None, more=[("0\x1b[2J\n\u202e", b"")]),
        r"0\x1b[2J \u202e",
    ),
    "pipe named .csv": (lambda root: special(root / "a.csv", os.mkfifo), "a.csv"),
    "table of a value without end": (
        lambda root: special(root / "a.csv", lambda p: p.write_bytes(bytes(1 << 20))),
        "a.csv",
    ),
    "table of control characters": (
        lambda root: special(root / "a.csv", lambda p: p.write_text("path,label\n\x1b[2J\u202e,a\n")),
        r"\x1b[2J\u202e",
    ),
    "table that leads out": (
        lambda root: special(root / "a.csv", lambda p: p.write_text("path,label\n../../../etc/passwd,a\n")),
        "inside",
    ),
    "metadata.csv that is a link out": (
        lambda root: folder(root) and (root / "metadata.csv").symlink_to("/etc/passwd") or root,
        "link to /etc/passwd",
    ),
    "an archive cut short": (lambda root: special(archive(root), lambda p: os.truncate(p, 500)), "a.npz"),
    "IDX of terabytes": (lambda root: idx_folder(root, idx_header(1 << 20, 1 << 10, 1 << 10)), "train-images"),
    "IDX.gz of terabytes": (
        lambda root: idx_folder(root, gzip.compress(idx_header(1 << 20, 1 << 10, 1 << 10)), ".gz"),
        "train-images",
    ),
    "IDX.gz of more than its header says": (
        lambda root: idx_folder(root, gzip.compress(idx_header(20, 4, 4)) + 256 * gzip.compress(bytes(1 << 24)), ".gz"),
        "got more",
    ),
    "4 GB of zeros in IDX.gz": (lambda root: idx_folder(root, zeros_gz(), ".gz"), "4.3 GB"),
    "IDX that is a pipe": (
        lambda root: (
            special(idx_folder(root, b"") / "train-images-idx3-ubyte", lambda p: (p.unlink(), os.mkfifo(p))).parent
        ),
        "train-images",
    ),
}


def waited(*_):
    raise TimeoutError("a read waits for ever")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", HOSTILE)
def test_it_is_refused_in_a_line_and_at_once(kind, tmp_path, monkeypatch):
    make, words = HOSTILE[kind]
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "data"
    root.mkdir()
    source = str(make(root))
    signal.signal(signal.SIGALRM, waited)
    signal.alarm(20)
    began = time.process_time()
    try:
        with pytest.raises(data.DataError) as caught:
            data.check(source)
            data.load(source)
    finally:
        signal.alarm(0)
    message = str(caught.value)
    assert time.process_time() - began < SECONDS
    assert words in message and len(message) < 6000 and message.isprintable() and str(tmp_path) in message
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize(
    "make, available",
    [(archive, 300), (lambda root: idx_folder(root, idx_header(20, 4, 4) + bytes(320)), 300), (folder, 200)],
)
def test_what_memory_does_not_hold_is_refused(make, available, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "available_memory", lambda: available)
    source = make(tmp_path)
    with pytest.raises(data.DataError, match="memory available"):
        data.load(str(tmp_path if make is folder else source))


@pytest.mark.parametrize("kind", ["4 GB of zeros in an .npz", "a pickle", "encrypted", "4 GB of zeros in IDX.gz"])
def test_headers_are_looked_at_before_anything_begins(kind, tmp_path):
    with pytest.raises(data.DataError):
        data.check(str(HOSTILE[kind][0](tmp_path)))


def test_images_that_memory_does_not_hold_together_go_into_a_file(tmp_path, monkeypatch):
    folder(tmp_path)
    expected = data.load(str(tmp_path))
    monkeypatch.setattr(limits, "available_memory", lambda: 300)  # one at a time fits
    d = data.load(str(tmp_path))
    assert np.array_equal(d.x_train, expected.x_train) and "Decoded images are kept" in d.kept[0]


def test_memory_is_found():
    assert 1 << 26 < limits.available_memory() < 1 << 50


SECOND = ("0::/job/task", "sys/fs/cgroup", "memory.max", "memory.current", "")
FIRST = ("4:cpu,memory:/job/task", "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_")


@pytest.mark.parametrize("version", [FIRST, SECOND])
@pytest.mark.parametrize("where", [".", "job", "job/task"])
def test_memory_is_what_a_control_group_leaves(where, version, tmp_path):
    line, top, limit, usage, prefix = version
    files = {"proc/meminfo": "MemAvailable: 1000 kB\n", "proc/self/cgroup": f"{line}\n"}
    for each in (".", "job"):
        files |= {f"{top}/{each}/{limit}": "max\n", f"{top}/{each}/{usage}": "9\n", f"{top}/{each}/memory.stat": ""}

    def available():
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return limits.available_memory(tmp_path)

    assert available() == 1000 << 10
    held = f"{prefix}inactive_file 30\n{prefix}active_file 4\n{prefix}anon 7000\n"
    files |= {f"{top}/{where}/{limit}": "9000", f"{top}/{where}/{usage}": "8000", f"{top}/{where}/memory.stat": held}
    assert available() == 1034
    files["proc/meminfo"] = "MemAvailable: 1 kB\n"
    assert available() == 1024


def test_postscript_is_not_run(tmp_path, monkeypatch):
    ghostscript = tmp_path / "bin" / "gs"
    ghostscript.parent.mkdir()
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/run\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(ghostscript.parent), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # not looked for yet
    with pytest.raises(data.DataError, match="0.png"):
        data.load(str(in_folder(postscript)(tmp_path / "data")))
    assert not (tmp_path / "run").exists()
