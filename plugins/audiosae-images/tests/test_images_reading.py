import os
import struct
import time
import tracemalloc

import numpy as np
import pytest
from audiosae_images import Images, arrays
from audiosae_images import pictures as reading
from PIL import Image
from scenes import colours, leaves, png_header, save
from scipy.io import savemat

from audiosae.corpus.fields import read_field
from audiosae.corpus.ingest import decode
from audiosae.errors import InputError


def field(path, **options):
    return np.concatenate(list(Images(**options).field(path)))


def reason(path, **options):
    with pytest.raises(InputError) as caught:
        field(path, **options)
    text = str(caught.value)
    assert text
    assert "\n" not in text
    assert str(path.parent) not in text
    return text


LOSSLESS = [("png", {}), ("tif", {}), ("tif", {"compression": "tiff_lzw"}), ("bmp", {}), ("webp", {"lossless": True})]


@pytest.mark.parametrize(("suffix", "options"), LOSSLESS)
def test_lossless_formats_are_read_exactly(tmp_path, suffix, options):
    pixels = colours(0)
    path = save(tmp_path / f"a.{suffix}", pixels, **options)
    np.testing.assert_allclose(field(path, color="rgb"), pixels / 255, atol=1e-6)


@pytest.mark.parametrize(("suffix", "options"), [("jpg", {"quality": 95}), ("webp", {"quality": 95}), ("gif", {})])
def test_lossy_formats_are_read_approximately(tmp_path, suffix, options):
    y, x = np.mgrid[:40, :60]
    pixels = (128 + 60 * np.sin(x / 9) + 40 * np.cos(y / 7)).astype(np.uint8)
    path = save(tmp_path / f"a.{suffix}", pixels, **options)
    np.testing.assert_allclose(field(path)[..., 0], pixels / 255, atol=0.05)


def test_the_suffix_may_be_upper_case_or_wrong(tmp_path):
    path = save(tmp_path / "a.PNG", leaves(0))
    wrong = path.rename(tmp_path / "a.jpg")
    np.testing.assert_allclose(field(wrong)[..., 0], leaves(0) / 255, atol=1e-6)


def test_grey_is_the_luma_of_itu_r_601(tmp_path):
    pixels = colours(1)
    expected = pixels @ np.array([0.299, 0.587, 0.114]) / 255
    np.testing.assert_allclose(field(save(tmp_path / "a.png", pixels))[..., 0], expected, atol=1e-6)


def test_a_grey_picture_read_in_colour_has_three_equal_planes(tmp_path):
    found = field(save(tmp_path / "a.png", leaves(0)), color="rgb")
    assert found.shape == (64, 80, 3)
    assert (found == found[..., :1]).all()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_scaled_to_one(tmp_path, suffix):
    pixels = np.random.default_rng(0).integers(0, 65536, (20, 30)).astype(np.uint16)
    pixels[0, :2] = 0, 65535
    found = field(save(tmp_path / f"a.{suffix}", pixels))
    np.testing.assert_allclose(found[..., 0], pixels / 65535, atol=1e-7)


def test_big_and_little_endian_16_bit_tiffs_are_equal(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65536, (20, 30)).astype(">u2")
    image = Image.frombytes("I;16B", (30, 20), pixels.tobytes())
    image.save(tmp_path / "a.tif")
    np.testing.assert_allclose(field(tmp_path / "a.tif")[..., 0], pixels / 65535, atol=1e-7)


def test_a_float_tiff_is_unchanged(tmp_path):
    pixels = np.random.default_rng(0).normal(300, 100, (20, 30)).astype(np.float32)
    np.testing.assert_array_equal(field(save(tmp_path / "a.tif", pixels))[..., 0], pixels)


def test_16_bit_colour_tiff_is_read(tmp_path):
    rows, columns = 4, 5
    pixels = (colours(0, rows, columns).astype("<u2") * 257).tobytes()
    entries = [
        (256, 4, columns),
        (257, 4, rows),
        (258, 3, None),
        (259, 3, 1),
        (262, 3, 2),
        (273, 4, None),
        (277, 3, 3),
        (278, 4, rows),
        (279, 4, len(pixels)),
        (284, 3, 1),
    ]
    after = 8 + 2 + 12 * len(entries) + 4
    content = b"II*\0" + struct.pack("<IH", 8, len(entries))
    for tag, kind, value in entries:
        content += struct.pack("<HHII", tag, kind, 3 if tag == 258 else 1, {258: after, 273: after + 6}.get(tag, value))
    (tmp_path / "a.tif").write_bytes(content + bytes(4) + struct.pack("<3H", 16, 16, 16) + pixels)
    np.testing.assert_allclose(field(tmp_path / "a.tif", color="rgb"), colours(0, rows, columns) / 255, atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_exif_orientation_is_applied_in_blocks_pieces_and_probe(tmp_path, monkeypatch, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path / f"a.{suffix}", leaves(3), exif=exif, **options)
    turned = {
        1: 0,
        2: Image.FLIP_LEFT_RIGHT,
        3: Image.ROTATE_180,
        4: Image.FLIP_TOP_BOTTOM,
        5: Image.TRANSPOSE,
        6: Image.ROTATE_270,
        7: Image.TRANSVERSE,
        8: Image.ROTATE_90,
    }[orientation]
    upright = Image.fromarray(leaves(3))
    expected = np.asarray(upright.transpose(turned) if orientation > 1 else upright) / 255
    monkeypatch.setattr(reading, "_PIXELS_AT_ONCE", 500)
    found = field(path)
    np.testing.assert_allclose(found[..., 0], expected, atol=0.03)
    domain = Images()
    assert domain.probe(path).rows == len(expected)
    patch = domain.excerpt(path, domain.span(path, (7, 11, 0)))
    np.testing.assert_array_equal(patch.data, found[7:17, 11:21, 0])


def test_transparent_pixels_are_blended_with_white(tmp_path):
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[..., 0] = 255
    pixels[:, 1, 3], pixels[:, 2, 3] = 51, 255
    found = field(save(tmp_path / "a.png", pixels), color="rgb")
    np.testing.assert_allclose(found[0], [[1, 1, 1], [1, 0.8, 0.8], [1, 0, 0]], atol=1e-6)
    grey = np.dstack([np.full((2, 3), 100, np.uint8), np.full((2, 3), 0, np.uint8)])
    assert (field(save(tmp_path / "b.png", grey)) == 1).all()


def test_palettes_and_bilevel_pictures_are_converted(tmp_path):
    image = Image.fromarray(colours(0)).quantize(16)
    image.save(tmp_path / "a.gif")
    expected = np.asarray(image.convert("RGB")) / 255
    np.testing.assert_allclose(field(tmp_path / "a.gif", color="rgb"), expected, atol=1e-6)
    image.info["transparency"] = 3
    image.save(tmp_path / "b.png", transparency=3)
    expected[np.asarray(image) == 3] = 1
    np.testing.assert_allclose(field(tmp_path / "b.png", color="rgb"), expected, atol=1e-6)
    save(tmp_path / "c.png", leaves(0) > 128)
    np.testing.assert_array_equal(field(tmp_path / "c.png")[..., 0], leaves(0) > 128)


def test_cmyk_is_converted(tmp_path):
    Image.fromarray(colours(0)).convert("CMYK").save(tmp_path / "a.tif")
    np.testing.assert_allclose(field(tmp_path / "a.tif", color="rgb"), colours(0) / 255, atol=0.01)


def test_the_first_of_several_frames_is_read(tmp_path):
    frames = [Image.fromarray(leaves(seed)) for seed in (0, 1)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(field(tmp_path / "a.tif")[..., 0], leaves(0) / 255, atol=1e-6)


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "i2", "i8", "f2", "f4", ">f8", "?"])
def test_arrays_of_every_real_dtype_are_read(tmp_path, dtype):
    pixels = (leaves(0) % 100).astype(dtype)
    np.save(tmp_path / "a.npy", pixels)
    most = {"u1": 255, "u2": 65535}.get(dtype.strip("<>"), 1)
    np.testing.assert_allclose(field(tmp_path / "a.npy")[..., 0], pixels.astype(float) / most, rtol=1e-6)


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_may_have_channels_and_either_order(tmp_path, monkeypatch, order):
    monkeypatch.setattr(reading, "_PIXELS_AT_ONCE", 500)
    np.save(tmp_path / "a.npy", np.array(colours(0), order=order))
    np.testing.assert_allclose(field(tmp_path / "a.npy", color="rgb"), colours(0) / 255, atol=1e-6)
    np.save(tmp_path / "b.npy", leaves(0)[..., None])
    np.testing.assert_allclose(field(tmp_path / "b.npy")[..., 0], leaves(0) / 255, atol=1e-6)


def test_a_large_array_is_read_in_bounded_memory(tmp_path):
    np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.float32, (6000, 4000)).flush()
    tracemalloc.start()
    assert sum(len(block) for block in Images().field(tmp_path / "a.npy")) == 6000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24e6  # the array has 96


def test_a_picture_of_one_pixel_is_a_field_of_one_pixel(tmp_path):
    assert field(save(tmp_path / "a.png", np.full((1, 1), 51, np.uint8))).tolist() == [[[np.float32(0.2)]]]
    save(tmp_path / "b.png", np.full((1, 1), 51, np.uint8))
    assert Images(filter="1/f").finish(field(tmp_path / "b.png")) == [(0, 1)]


@pytest.mark.parametrize("side", [10000, 20000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_without_allocating_memory(tmp_path, side):
    path = png_header(tmp_path / "a.png", side, side)
    tracemalloc.start()
    began = time.monotonic()
    assert f"{side * side} pixels" in reason(path)
    assert time.monotonic() - began < 1
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()
    with pytest.raises(InputError, match="too large to decode safely"):
        Images().probe(path)


def test_a_truncated_picture_is_refused(tmp_path):
    for suffix, options in [("png", {}), ("jpg", {}), ("tif", {}), ("bmp", {}), ("webp", {})]:
        path = save(tmp_path / f"a.{suffix}", leaves(0), **options)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        assert reason(path).startswith("undecodable: "), suffix


def test_a_header_that_claims_more_pixels_is_refused(tmp_path):
    assert reason(png_header(tmp_path / "a.png", 500, 500)).startswith("undecodable: ")


def test_a_file_that_is_not_a_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("name,label\n1,2\n")
    assert reason(tmp_path / "a.png").startswith("not a picture: ")
    (tmp_path / "b.png").write_bytes(b"")
    assert reason(tmp_path / "b.png") == "empty: zero bytes"
    assert reason(tmp_path) == "not a regular file"
    assert reason(tmp_path / "none.png") == "unreadable: No such file or directory"


def test_formats_that_run_programs_are_not_opened(tmp_path):
    Image.fromarray(colours(0)).save(tmp_path / "a.eps")
    assert reason((tmp_path / "a.eps").rename(tmp_path / "a.png")).startswith("not a picture: ")


@pytest.mark.skipif(
    not hasattr(os, "mkfifo"),
    reason="Windows has no named pipes in folders: it is not tested that they are never opened",
)
def test_a_named_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert reason(tmp_path / "a.png") == "not a regular file"


class Tripwire:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_in_an_array_file_is_never_loaded(tmp_path):
    sprung = tmp_path / "sprung"
    np.save(tmp_path / "a.npy", np.array([[Tripwire(sprung)]], object), allow_pickle=True)
    assert "objects" in reason(tmp_path / "a.npy")
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5), "shape (5,)"),
        (np.zeros((4, 5, 2)), "shape (4, 5, 2)"),
        (np.zeros((4, 5, 3, 2)), "shape (4, 5, 3, 2)"),
        (np.zeros((3, 40, 40)), "shape (3, 40, 40) may be 3 pictures or the colours of one; wanted (rows, columns)"),
        (np.zeros((40, 40, 4)), "may be 4 pictures"),
        (np.zeros((0, 5)), "no pixels"),
        (np.zeros((4, 5), complex), "complex128"),
        (np.full((4, 5), "a"), "<U1"),
        (np.full((4, 5), np.datetime64("2020-01-01")), "datetime64"),
        (np.where(np.arange(20).reshape(4, 5) == 12, np.nan, 0), "row 2"),
        (np.where(np.arange(20).reshape(4, 5) == 17, -np.inf, 0), "row 3"),
        (np.full((4, 5), 1e300), "row 0"),
    ],
)
def test_arrays_that_are_not_pictures_are_refused(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    assert message in reason(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("shape", "pictures"),
    [
        ((6, 32, 32), 0),  # the form of NumPy
        ((32, 32, 6), 2),  # of MATLAB
        ((90, 32, 32), 0),
        ((32, 32, 90), 2),
        ((6, 24, 32), 0),
        ((24, 32, 6), 2),
        ((6, 24, 32, 1), 0),
    ],
)
@pytest.mark.parametrize("suffix", ["npy", "mat"])
def test_a_stack_is_read_like_its_pictures_below_each_other(tmp_path, suffix, shape, pictures):
    stack = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    path = tmp_path / f"a.{suffix}"
    if suffix == "npy":
        np.save(path, stack)
    else:
        savemat(path, {"IMAGES": stack, "note": "two", "n": 6})
    alone = np.moveaxis(stack, pictures, 0)
    record = decode((Images(), path, tmp_path / "field.npy"))
    assert record.reason == ""
    found = read_field(record)
    assert len(record.ranges) == len(alone)
    for (first, last), picture in zip(record.ranges, alone, strict=True):
        np.testing.assert_allclose(found[first:last, :, 0], picture.reshape(picture.shape[:2]) / 255, atol=1e-6)
    first, _ = record.ranges[3]
    span = Images().span(path, (first + 5, 7, 0))
    np.testing.assert_array_equal(Images().excerpt(path, span).data, found[first + 5 : first + 15, 7:17, 0])
    assert f"{len(alone)} pictures of {alone.shape[1]} x {alone.shape[2]}" in Images().probe(path).facts["mode"]
    assert 0 <= found.min() <= found.max() <= 1


def test_the_pictures_of_a_stack_are_filtered_alone_and_in_colour(tmp_path, monkeypatch):
    stack = np.random.default_rng(0).normal(size=(5, 70, 20, 3)).astype(np.float32)
    np.save(tmp_path / "a.npy", stack)
    monkeypatch.setattr(reading, "_PIXELS_AT_ONCE", 20 * 33)  # blocks that divide pictures
    for color in ("grey", "rgb"):
        domain = Images(filter="1/f", color=color)
        record = decode((domain, tmp_path / "a.npy", tmp_path / "field.npy"))
        found = read_field(record)
        for (first, last), picture in zip(record.ranges, stack, strict=True):
            np.save(tmp_path / "one.npy", picture)
            one = read_field(decode((domain, tmp_path / "one.npy", tmp_path / "one_field.npy")))
            np.testing.assert_array_equal(found[first:last], one)


def test_matlab_files_that_are_not_pictures_are_refused(tmp_path, monkeypatch):
    picture, path = np.zeros((20, 30)), tmp_path / "a.mat"
    savemat(path, {"a": picture, "b": picture})
    assert reason(path) == "wanted a MATLAB file with one array of pictures, found a, b; save it alone or as .npy"
    savemat(path, {"text": "abc", "n": 5.0, "cells": np.array([picture, "x"], object)})
    assert "found no such array" in reason(path)
    savemat(path, {"a": picture}, do_compression=True)
    whole = path.read_bytes()
    for content in (whole[:100], whole[:-20], b"\0" * 300):
        path.write_bytes(content)
        assert reason(path)
    path.write_bytes(whole[:124] + b"\0\2" + whole[126:])
    assert "version 7.3 (HDF5); wanted version 7" in reason(path)
    path.write_bytes(whole)
    monkeypatch.setattr(arrays, "_MOST_VALUES", 500)
    assert "the MATLAB array a of shape (20, 30) is too large for memory; save it as .npy" in reason(path)


def test_broken_array_files_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", leaves(0))
    whole = (tmp_path / "a.npy").read_bytes()
    np.savez(tmp_path / "b.npz", leaves(0))
    for content in (whole[:7], whole[:60], whole[:-10], (tmp_path / "b.npz").read_bytes(), b"\0" * 200):
        (tmp_path / "a.npy").write_bytes(content)
        assert reason(tmp_path / "a.npy").startswith("undecodable: ")


def test_a_picture_with_a_broken_exif_block_is_read(tmp_path):
    path = save(tmp_path / "a.jpg", leaves(0), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert field(path).shape == (64, 80, 1)


def test_damaged_files_give_a_reason_or_pixels(tmp_path):
    rng = np.random.default_rng(0)
    for suffix in ("png", "jpg", "tif", "bmp", "webp", "gif"):
        whole = bytearray(save(tmp_path / f"a.{suffix}", leaves(0)).read_bytes())
        for _ in range(40):
            damaged = whole.copy()
            for at in rng.integers(0, min(len(whole), 400), 4):
                damaged[at] = rng.integers(256)
            (tmp_path / f"b.{suffix}").write_bytes(damaged)
            try:
                found = field(tmp_path / f"b.{suffix}")
            except InputError:
                continue
            assert np.isfinite(found).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("suffix", "color"), [("png", "grey"), ("jpg", "rgb"), ("webp", "rgb"), ("tif", "grey")])
def test_turned_pictures_are_used_by_every_command(tmp_path, suffix, color, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / f"a.{suffix}", colours(0, 30, 40), exif=exif)
    domain = Images(color=color)
    record = decode((domain, path, tmp_path / "a.npy"))
    turned = orientation > 4
    assert (record.status, record.reason, record.shape[:2]) == ("used", "", (40, 30) if turned else (30, 40))
    np.testing.assert_array_equal(read_field(record), field(path, color=color))
