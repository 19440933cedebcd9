"""Whatever file is given, it is a picture or one sentence that names it: thousands of damaged files, and bombs.

``STYLE_TRANSFER_FUZZ=100000 python -m pytest -m '' tests/robustness/test_hostile_pictures.py -k mutations`` tries more.
"""

import contextlib
import importlib
import io
import logging
import os
import random
import signal
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL
import pytest
from PIL import Image, ImageCms

from data.dataset import PhotographDataset
from imaging.icc import to_srgb
from imaging.reading import read_image
from imaging.writing import save_picture
from tests.drawing_png import chunk, encoded, png
from tests.robustness.mutating import mutated
from utils.errors import ImageError
from utils.files import PROGRAM

MUTATIONS = int(os.environ.get("STYLE_TRANSFER_FUZZ", 1500))
LIMIT = 1_000_000  # pixels

# Formats that Pillow writes and that are no picture files to this project, each with the reason.
NOT_FUZZED = {
    "PALM": "Pillow does not read it",
    "PDF": "Pillow does not read it",
    **dict.fromkeys(("BUFR", "GRIB", "HDF5", "WMF"), "Pillow needs a handler of the user's for it"),
}

# Samples that Pillow reads from these versions on alone.
READ_FROM = {"DCX": (11, 3), "TIFF YCbCr": (13, 0)}


class TooLong(BaseException):
    """Not an ``Exception``: the reader must not take it for a decoder's."""


@contextlib.contextmanager
def processor_time(seconds):
    """Raises :class:`TooLong` in a block that computes for longer; waiting does not count."""

    def stop(*_):
        raise TooLong

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


# -- samples of every format -----------------------------------------------------------------------


def _only_read() -> dict[str, bytes]:
    """24 x 20 pixels in the formats that Pillow reads and does not write, by their descriptions."""
    pixels, grey = bytes(range(240)) * 6, bytes(range(240)) * 2
    card = "{:<80}".format
    cards = ["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 24", "NAXIS2  = 20", "END"]
    xpm_rows = "".join(f'"{"ab" * 12}",\n' for _ in range(20))
    bmp = encoded(Image.new("RGB", (24, 40), "red"), "BMP")[14:]  # of twice the height, the lower half a mask
    pcx = encoded(Image.new("L", (24, 20), 90), "PCX")
    frame = struct.pack("<IHH", 32, 0xF1FA, 1) + bytes(8) + struct.pack("<IH", 6, 13) + bytes(10)
    area = [0, 4, *[0] * 6, 20, 24, 1, 0, 0, 1, *[0] * 19, 256, *[0] * 30]
    return {
        "FITS": "".join(map(card, cards)).ljust(2880).encode() + grey.ljust(2880, b"\0"),
        "XPM": b'/* XPM */\nstatic char *x[] = {\n"24 20 2 1",\n"a c #ff0000",\n"b c #00ff00",\n'
        + xpm_rows.encode()
        + b"};\n",
        "SUN": struct.pack(">8I", 0x59A66A95, 24, 20, 24, 1440, 1, 0, 0) + pixels,
        "PSD": b"8BPS" + struct.pack(">H6xHIIHHIIIH", 1, 3, 20, 24, 8, 3, 0, 0, 0, 0) + pixels,
        "CUR": struct.pack("<HHHBBBBHHII", 0, 2, 1, 24, 20, 0, 0, 0, 0, len(bmp), 22) + bmp,
        "DCX": struct.pack("<III", 0x3ADE68B1, 12, 0) + pcx,
        "GBR": struct.pack(">7I", 30, 2, 24, 20, 1, 0x47494D50, 10) + b"x\0" + grey,
        "XVTHUMB": b"P7 332\n#IMGINFO:24x20\n#END_OF_COMMENTS\n24 20 255\n" + grey,
        "PIXAR": b"\x80\xe8\0\0" + bytes(412) + struct.pack("<HH4xHH", 20, 24, 14, 2) + bytes(596) + pixels,
        "FLI": struct.pack("<IHHHHHH", 150, 0xAF11, 1, 24, 20, 8, 3) + bytes(112) + frame,
        "IMT": b"width 24\nheight 20\npixel n8\n\x0c" + grey,
        "MCIDAS": struct.pack("!64i", *area) + grey,
        "FTEX": b"FTEX" + struct.pack("<8i", 0, 24, 20, 1, 1, 1, 32, 1440) + pixels,
    }


@pytest.fixture(scope="module")
def samples(make_picture):
    """Name -> bytes of a small picture, in every mode of every format that Pillow writes here, and in its variants."""
    Image.init()
    picture = make_picture(24, 20, seed=0)
    grey = picture.convert("L")
    modes = {mode: picture.convert(mode) for mode in ("RGB", "RGBA", "P", "1", "CMYK", "YCbCr", "F")}
    modes |= {"L": grey, "LA": grey.convert("LA"), "I;16": Image.fromarray(np.asarray(grey, np.uint16) * 257)}
    found = {}
    for form in sorted(Image.SAVE.keys() - NOT_FUZZED.keys()):
        for mode, image in modes.items():
            if form == "ICNS":  # which enlarges to a megapixel
                image = image.resize((1, 1))
            with contextlib.suppress(OSError, ValueError, KeyError, RuntimeError):  # not in this mode
                found[f"{form} {mode}"] = encoded(image, form)
    exif, other = Image.Exif(), make_picture(24, 20, seed=1)
    exif[0x0112], exif[0x010F] = 6, "camera"
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        found[f"TIFF {compression}"] = encoded(picture, "TIFF", compression=compression, exif=exif)
    found["TIFF group4"] = encoded(modes["1"], "TIFF", compression="group4")
    lab_picture = Image.frombytes("LAB", picture.size, picture.tobytes())
    found["TIFF lab"] = encoded(lab_picture, "TIFF", icc_profile=lab)
    found["TIFF float"] = encoded(Image.fromarray(np.array([[np.nan, 1e38], [-np.inf, 0.5]], np.float32)), "TIFF")
    found["JPEG progressive"] = encoded(picture, "JPEG", progressive=True, exif=exif, icc_profile=srgb)
    found["MPO"] = encoded(picture, "MPO", save_all=True, append_images=[other])
    found["PNG exif"] = encoded(picture, "PNG", exif=exif, icc_profile=srgb)
    found["DDS DXT5"] = encoded(modes["RGBA"], "DDS", pixel_format="DXT5")
    found["BLP1"] = encoded(modes["P"], "BLP", blp_version="BLP1")
    for form in ("GIF", "WEBP", "PNG", "AVIF"):
        if form in Image.SAVE:
            found[f"{form} animated"] = encoded(picture, form, save_all=True, append_images=[other])
    return found | _only_read()


def test_every_format_that_pillow_writes_is_fuzzed(samples, tmp_path):
    """Or stands in a list with the reason; and each sample is sound, or what is done to it would say nothing."""
    assert {name.split()[0] for name in samples} | {"PALM", "PDF"} >= Image.SAVE.keys() - NOT_FUZZED.keys()
    assert len(samples) > 90
    version = tuple(map(int, PIL.__version__.split(".")[:2]))
    for name, content in samples.items():
        (tmp_path / "sample").write_bytes(content)
        if version < READ_FROM.get(name, version):
            continue
        if name.startswith("EPS"):
            with pytest.raises(ImageError, match="is EPS, which is not read here"):
                read_image(tmp_path / "sample")
        else:
            assert min(read_image(tmp_path / "sample", max_pixels=2**21).size) >= 1, name


# -- mutations -------------------------------------------------------------------------------------


def _with_right_checksums(data: bytes) -> bytes:
    """A PNG whose chunks are believed again after they were changed."""
    out, at = [data[:8]], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        out += [data[at : at + 4], body, struct.pack(">I", zlib.crc32(body))]
        at += 12 + length
    return b"".join(out)


def test_mutations_are_read_or_refused_in_one_sentence(samples, tmp_path, capfd, monkeypatch):
    """For both readers; no warning, no other exception, no picture beyond the limit, and nothing is printed."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's, without which Python prints what is logged
    path = tmp_path / "photo.jpg"
    names, refused, read = sorted(samples), 0, 0
    dataset = PhotographDataset([path], 16, seed=0, max_pixels=LIMIT)
    for number in range(MUTATIONS):
        name = names[number % len(names)]
        rng = random.Random(f"mutation {number}")
        content = mutated(samples[name], rng, samples[rng.choice(names)])
        if name.startswith("PNG") and rng.random() < 0.7:
            content = _with_right_checksums(content)
        path.write_bytes(content)
        try:
            with warnings.catch_warnings(record=True) as warned, processor_time(20):
                warnings.simplefilter("always")
                try:
                    image = read_image(path, max_pixels=LIMIT, partial=number % 2 == 0)
                except ImageError as error:
                    refused += 1
                    assert str(path) in str(error) and str(error).isprintable(), error
                else:
                    read += 1
                    assert image.mode in ("RGB", "RGBA") and 0 < image.width * image.height <= LIMIT
                    if image.width * image.height < 10_000:  # what follows takes time by the pixel
                        warnings.filterwarnings("ignore", module=r"PIL\.")  # as the command does around all this
                        image = to_srgb(image)
                        with contextlib.suppress(ValueError, struct.error):  # which the command reports
                            save_picture(image, io.BytesIO(), rng.choice((".jpg", ".png", ".webp")), image.info)
                warnings.simplefilter("always")
                positions, crops, failures = dataset[[(number, 0)]]
                assert len(crops) == len(positions) == 1 - len(failures)
                assert all(str(path) in reason for reason in failures.values())
            assert not warned, [str(warning.message) for warning in warned]
        except BaseException as error:
            (tmp_path / "culprit").write_bytes(content)
            error.add_note(f"mutation {number} of {name}, in {tmp_path / 'culprit'}")
            raise
    assert capfd.readouterr() == ("", "")
    print(f"{MUTATIONS} mutations: {refused} refused, {read} read")
    assert refused > MUTATIONS / 4 and read > MUTATIONS / 10  # both answers were tried


# -- bombs: small files that promise much ----------------------------------------------------------


def _tiff(*tags: tuple[int, int, int, int]) -> bytes:
    """(tag, type, count, value) each, and a strip of no pixels."""
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(struct.pack("<HHII", *t) for t in tags) + bytes(8)


def bombs() -> dict[str, bytes]:
    """Name -> a small file that promises more than 200 megapixels, or unpacks to hundreds of megabytes."""
    many, zeros = 1_000_000, zlib.compress(bytes(400_000_000))
    pixels = chunk(b"IDAT", zlib.compress(bytes(200)))
    huge_png = png(many, many, pixels)
    jpeg = encoded(Image.new("L", (16, 16)), "JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    scans = encoded(Image.new("L", (4000, 4000), 128), "JPEG", progressive=True)
    last = scans[scans.rindex(b"\xff\xda") : -2]
    strip = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 8), (279, 4, 1, 64)]
    size = (256, 4, 1, many), (257, 4, 1, many)
    texts = [chunk(b"zTXt", b"k%d\0\0" % n + zlib.compress(bytes(2**20))) for n in range(200)]
    cards = ["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 2", f"NAXIS1  = {many}", f"NAXIS2  = {many}", "END"]

    def gif(screen, frame):
        head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + bytes(6)
        return head + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x4c\x01\0;"

    webp = b"WEBPVP8X" + struct.pack("<IB3x", 10, 0) + b"\xff\x3f\0" * 2
    icns = b"ic10" + struct.pack(">I", 8 + len(huge_png)) + huge_png
    # fmt: off
    return {
        "png size": huge_png,
        "png one row": png(2**31 - 1, 1, pixels, bits=1, colour_type=0),
        "png zTXt": png(8, 8, chunk(b"zTXt", b"Comment\0\0" + zeros), pixels),
        "png iTXt": png(8, 8, chunk(b"iTXt", b"Comment\0\1\0\0\0" + zeros), pixels),
        "png iCCP": png(8, 8, chunk(b"iCCP", b"profile\0\0" + zeros), pixels),
        "png many texts": png(8, 8, *texts, pixels),
        "png IDAT": png(8, 8, chunk(b"IDAT", zeros)),
        "png chunk length": huge_png[:8] + b"\xff\xff\xff\xff" + huge_png[12:],
        "gif screen": gif((65535, 65535), (1, 1)),
        "gif frame": gif((1, 1), (65535, 65535)),
        "bmp": b"BM" + struct.pack("<IIIIiiHHIIIIII", 100, 0, 54, 40, many, many, 1, 24, 0, 0, 0, 0, 0, 0),
        "tiff size": _tiff(*size, *strip[2:]),
        "tiff tag counts": _tiff(*strip, *[(n, 2, 2**32 - 1, 8) for n in (270, 271, 305, 700, 34675)]),
        "tiff bits": _tiff(*strip[:2], (258, 3, 2**32 - 1, 8), *strip[3:], (277, 3, 1, 65535)),
        "tiff offsets": _tiff(*strip[:4], (273, 4, 2**30, 8), (279, 4, 2**30, 8)),
        "tiff tile": _tiff(*strip[:3], (259, 3, 1, 8), strip[3], *((n, 4, 1, 2**20) for n in (322, 323)),
                           (324, 4, 1, 8), (325, 4, 1, 64)),
        "webp": b"RIFF" + struct.pack("<I", len(webp) + 4) + webp,
        "jpeg": jpeg[:at] + struct.pack(">HH", 65500, 65500) + jpeg[at + 4 :],
        "jpeg scans": scans[:-2] + last * 2000 + b"\xff\xd9",
        "ppm": b"P6 1000000 1000000 255\n",
        "pfm": b"Pf\n1000000 1000000\n-1.0\n",
        "tga": struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 65535, 65535, 24, 0),
        "ico": struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(huge_png), 22) + huge_png,
        "icns": b"icns" + struct.pack(">I", 8 + len(icns)) + icns,
        "qoi": b"qoif" + struct.pack(">IIBB", many, many, 3, 0) + b"\xfd" * 1000,
        "psd": b"8BPS" + struct.pack(">H6xHIIHHIIIH", 1, 3, 300_000, 300_000, 8, 3, 0, 0, 0, 0),
        "dds": b"DDS "
        + struct.pack("<IIII", 124, 0x1007, many, many).ljust(72, b"\0")
        + struct.pack("<IIIIIIII", 32, 0x40, 0, 24, 255, 65280, 255 << 16, 0).ljust(52, b"\0"),
        "pcx": struct.pack("<BBBBHHHHHH49xBH", 10, 5, 1, 8, 0, 0, 65534, 65534, 0, 0, 1, 65535).ljust(1024, b"\0"),
        "fits": "".join(map("{:<80}".format, cards)).ljust(5760).encode(),
        "xpm": b'/* XPM */\n"1000000 1000000 1 1",\n"a c #ff0000",\n',
        "xpm colours": b'/* XPM */\n"8 8 4000000000 1",\n"a c #ff0000",\n',
        "jpeg 2000": b"\xff\x4f\xff\x51"
        + struct.pack(">HHIIIIIIIIH", 47, 0, many, many, 0, 0, many, many, 0, 0, 3)
        + b"\7\1\1" * 3,
        "gbr": struct.pack(">7I", 2**32 - 1, 2, 8, 8, 1, 0x47494D50, 10),
        "fli": struct.pack("<IHHHHHH", 150, 0xAF11, 1, 65535, 65535, 8, 3)
        + bytes(112)
        + struct.pack("<IH", 2**32 - 1, 0xF1FA).ljust(64, b"\0"),
        "ftex": b"FTEX" + struct.pack("<8i", 0, 8, 8, 1, 1, 1, 32, 2**31 - 1),
    }


READER = """
import resource, sys, warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from utils.errors import ImageError
from imaging.reading import read_image

warnings.simplefilter("error")
address_space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (address_space + 600_000_000, resource.RLIM_INFINITY))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
for path in sorted(Path(sys.argv[1]).iterdir()):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        answer = f"read {read_image(path).size}"
    except ImageError as error:
        answer = f"refused {error}"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(path.name, grown // 1024, answer, sep="\\t", flush=True)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_bombs_take_neither_memory_nor_time(tmp_path):
    """In a process that may not allocate more than 600 MB: each is answered with a sentence, and takes less than half.

    (The pixels of one picture of the largest size allowed, 200 megapixels, would take 800 MB.)
    """
    for name, content in bombs().items():
        (tmp_path / name).write_bytes(content)
    try:
        with open(tmp_path / "webp of a terabyte", "wb") as file:  # with no bytes on the disk
            file.write(b"RIFF\xff\xff\xff\xffWEBPVP8 ")
            file.truncate(2**40)
    except OSError:  # a file system that holds no such files
        (tmp_path / "webp of a terabyte").unlink()
    process = subprocess.run([sys.executable, "-c", READER, tmp_path], cwd=PROGRAM, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr + process.stdout
    answers = [line.split("\t") for line in process.stdout.splitlines()]
    assert len(answers) == len(list(tmp_path.iterdir()))
    for name, megabytes, answer in answers:
        assert int(megabytes) < 300, (name, megabytes, answer)
        if answer.startswith("refused"):
            assert str(tmp_path / name) in answer
            assert "terabyte" not in name or "has 1099511627776 bytes, more than a picture of" in answer
        else:  # what is read is small and was never a threat
            texts = ("png zTXt", "png iTXt", "png many texts")
            assert answer == "read (8, 8)", (name, answer)
            assert name in (*texts, "png IDAT", "png iCCP", "tiff tag counts"), name


# -- the limit, and what is no file ----------------------------------------------------------------


def test_the_limit_is_exact_and_can_be_lifted(tmp_path, png_without_pixels):
    Image.new("RGB", (50, 40)).save(tmp_path / "photo.png")
    assert read_image(tmp_path / "photo.png", max_pixels=2000).size == (50, 40)
    with pytest.raises(ImageError, match="photo.png has 2000 pixels, more than --max_pixels 1999"):
        read_image(tmp_path / "photo.png", max_pixels=1999)
    # The pixels that are missing here come after the size.
    (tmp_path / "large.png").write_bytes(png_without_pixels(20_000, 20_000))
    with pytest.raises(ImageError, match="400000000 pixels, more than --max_pixels 200000000"):
        read_image(tmp_path / "large.png")
    with pytest.raises(ImageError, match="large.png (cannot be read as a picture .*end is missing|needs more memory)"):
        read_image(tmp_path / "large.png", max_pixels=400_000_000)
    # 180 megapixels of a bit each, which is above Pillow's own limit.
    Image.new("1", (18_000, 10_000)).save(tmp_path / "large.png")
    assert read_image(tmp_path / "large.png").size == (18_000, 10_000)


def test_every_command_keeps_to_the_flag(train, stylize, style_image, tmp_path):
    """For the painting and the monitor picture of a training, its photographs, and those of inference."""
    view = tmp_path / "view.png"
    Image.new("RGB", (64, 47)).save(view)  # 64 pixels fewer than the style image
    flags = ["--training_monitor_content_image", view, "--monitor_every_steps", 1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the photographs that are skipped
        for limit, named in {3007: view, 3071: style_image, 3072: "--dataset_dir"}.items():
            assert str(named) in train(*flags, "--max_pixels", limit).error
    error = stylize(style_image, "--max_pixels", 3071).error
    assert f"{style_image} has 3072 pixels, more than --max_pixels 3071" in error
    assert [path.name for path in tmp_path.iterdir()] == ["view.png"]


@pytest.mark.parametrize("max_pixels", [10, 10**9])
def test_pillows_own_settings_come_back(tmp_path, max_pixels):
    """Also when several threads read at once, and with a limit that a caller has set."""
    Image.new("RGB", (50, 40)).save(tmp_path / "photo.png")
    before, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)

    def read(_):
        with contextlib.suppress(ImageError):
            return read_image(tmp_path / "photo.png", max_pixels=max_pixels)

    with ThreadPoolExecutor(8) as pool:
        assert [result is None for result in pool.map(read, range(200))] == [max_pixels == 10] * 200
    assert before == Image.MAX_IMAGE_PIXELS and filters == warnings.filters


def test_a_pipe_a_device_and_a_folder_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    for name in ("pipe", "device", "folder", "loop", "n" * 300):
        with pytest.raises(ImageError, match=f"{name}.jpg "):
            read_image(tmp_path / f"{name}.jpg")


def test_formats_that_other_programs_would_draw_are_refused(tmp_path, monkeypatch):
    """EPS is a program; Pillow would have Ghostscript run it. IPTC wraps a picture of any format, EPS for one."""

    def field(record, number, data):
        return struct.pack(">BBBH", 28, record, number, len(data)) + data

    eps = encoded(Image.new("RGB", (4, 4)), "EPS")
    head = field(3, 20, b"\0\4") + field(3, 30, b"\0\4") + field(3, 60, b"\1\0") + field(3, 120, b"\5")
    for name in ("check_call", "Popen"):
        monkeypatch.setattr(subprocess, name, lambda *args, **kwargs: pytest.fail("a program was started"))
    for form, content in (("EPS", eps), ("IPTC", head + field(8, 10, eps))):
        (tmp_path / "drawing.jpg").write_bytes(content)
        with Image.open(tmp_path / "drawing.jpg") as image:
            assert image.format == form
        with pytest.raises(ImageError, match=f"drawing.jpg is {form}, which is not read here"):
            read_image(tmp_path / "drawing.jpg")


def test_a_decoder_that_is_missing_is_one_sentence(tmp_path, samples, monkeypatch):
    path = tmp_path / "photo.img"
    for form, decoder in {"JPEG RGB": "jpeg", "PNG RGB": "zip", "TIFF tiff_lzw": "libtiff"}.items():
        with monkeypatch.context() as patch:
            patch.delattr(Image.core, f"{decoder}_decoder")
            path.write_bytes(samples[form])
            with pytest.raises(ImageError, match=f"photo.img .*{decoder}"):
                read_image(path)
    path.write_bytes(samples["WEBP RGB"])
    monkeypatch.setattr(importlib.import_module("PIL.WebPImagePlugin"), "SUPPORTED", False)
    with pytest.raises(ImageError, match="photo.img is WEBP, which the Pillow installed"):
        read_image(path)


@pytest.mark.parametrize("size", [(1, 1), (1, 30_000), (30_000, 1)])
def test_pictures_of_extreme_shapes(tmp_path, size):
    path = tmp_path / "photo.png"
    Image.new("RGB", size, "red").save(path)
    assert read_image(path).size == size
    positions, crops, _ = PhotographDataset([path], 32, seed=0)[[(0, 0)]]
    assert positions == [0] and crops[0, 0].unique().tolist() == [255]
