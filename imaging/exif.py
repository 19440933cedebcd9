"""What a result keeps of its photograph's EXIF."""

from PIL import ExifTags, Image

# Of the picture file's own directory: all that Exif 2.3 has for people, nothing of how the pixels are stored.
_KEPT = tuple(
    ExifTags.Base[name]
    for name in (
        "ImageDescription", "Make", "Model", "XResolution", "YResolution", "ResolutionUnit", "Software", "DateTime",
        "Artist", "HostComputer", "Rating", "RatingPercent", "Copyright", "XPTitle", "XPComment", "XPAuthor",
        "XPKeywords", "XPSubject",
    )
)  # fmt: skip


def carried_exif(exif: bytes | None, size: tuple[int, int]) -> bytes | None:
    """The EXIF of a result: when, where, by whom and how the photograph was taken.

    The orientation is 1, for the result is upright, and the dimensions are its own. Thumbnail and maker notes are left
    out: they show the old picture, or may, and hold offsets that are wrong in another file.

    Both are as Pillow has them in ``info["exif"]``; the result is ``None`` if there is none or it is broken. ``size``
    is the result's, width and height.
    """
    if not exif:
        return None
    try:
        old, new = Image.Exif(), Image.Exif()
        old.load(exif)
        new.endian = old.endian  # of text in UserComment
        for tag in _KEPT:
            if tag in old:
                new[tag] = old[tag]
        new[ExifTags.Base.Orientation] = 1
        camera = dict(old.get_ifd(ExifTags.IFD.Exif))
        for tag in (ExifTags.Base.MakerNote, ExifTags.Base.ExifInteroperabilityOffset):
            camera.pop(tag, None)
        camera[ExifTags.Base.ExifImageWidth], camera[ExifTags.Base.ExifImageHeight] = size
        new[ExifTags.IFD.Exif] = camera
        if place := dict(old.get_ifd(ExifTags.IFD.GPSInfo)):
            new[ExifTags.IFD.GPSInfo] = place
        return new.tobytes()
    except Exception:  # as many as there are ways to break it; the picture itself is sound
        return None
