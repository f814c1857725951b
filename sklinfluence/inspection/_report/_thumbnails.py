"""Images as small pictures in data URLs."""

import base64
import io

import numpy as np

# Pixels of the longer side.
_MAX_SIDE = 64
# Up to so many pixels a side, or so many colours, PNG is as small and loses nothing.
_SMALL_SIDE = 32
_FEW_COLOURS = 16
_QUALITY = 60


class Thumbnails:
    """Thumbnails of images by their row.

    Parameters
    ----------
    images : sequence or ndarray of n images
        Arrays of shape (height, width), (height, width, 1 | 3 | 4) or (1 | 3, height,
        width), paths, or pillow's own images.

    Raises
    ------
    ImportError
        If pillow is not installed.
    """

    def __init__(self, images):
        self._pillow = _import_pillow()
        self.images = images
        self._range = _range_of(images)

    def __len__(self):
        return len(self.images)

    def data_url(self, row):
        """The row's image, at most 64 pixels wide and high."""
        image = self._opened(self.images[row])
        image.thumbnail((_MAX_SIDE, _MAX_SIDE))
        is_few = image.getcolors(_FEW_COLOURS) is not None
        if max(image.size) <= _SMALL_SIDE or is_few:
            return _data_url(image, "png", optimize=True)
        return _data_url(image, "webp", quality=_QUALITY)

    def _opened(self, image):
        if isinstance(image, self._pillow.Image):
            return _plain(image.copy())
        if isinstance(image, str) or hasattr(image, "__fspath__"):
            with self._pillow.open(image) as file:
                # Decodes a photograph at an eighth of its size where that is enough.
                file.draft("RGB", (2 * _MAX_SIDE, 2 * _MAX_SIDE))
                return _plain(file)
        return self._pillow.fromarray(_as_bytes(_channels_last(image), self._range))


def _import_pillow():
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "images= needs pillow, which is not installed: `pip install pillow`, or "
            "with this package, `pip install sklinfluence[report]`."
        ) from error
    return Image


def _plain(image):
    """Grey, or colours with or without transparency: what both formats can hold."""
    if image.mode in ("L", "RGB", "RGBA"):
        return image.convert(image.mode)
    has_alpha = "A" in image.mode or "transparency" in image.info
    return image.convert("RGBA" if has_alpha else "L" if image.mode == "1" else "RGB")


def _channels_last(image):
    pixels = np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[0] in (1, 3) and pixels.shape[2] not in (3, 4):
        pixels = np.moveaxis(pixels, 0, 2)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    is_image = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    if not is_image or not pixels.size or pixels.dtype.kind not in "fiub":
        raise ValueError(
            f"images= holds an array of shape {np.shape(image)} and type "
            f"{pixels.dtype}. An image is (height, width) or (height, width, 3 or 4), "
            "of numbers; reshape rows of pixels first."
        )
    return pixels


def _range_of(images):
    """Darkest and lightest value of images in other units than bytes, else None."""
    if not isinstance(images, np.ndarray) or images.dtype == object:
        return None
    if images.dtype == np.uint8 or not images.size:
        return None
    low, high = np.nanmin(images), np.nanmax(images)
    return min(float(low), 0.0), float(high)


def _as_bytes(pixels, span):
    if pixels.dtype == np.uint8:
        return pixels
    low, high = span or (min(float(np.nanmin(pixels)), 0.0), float(np.nanmax(pixels)))
    scaled = (pixels.astype(np.float64) - low) / ((high - low) or 1.0)
    return np.round(255 * np.nan_to_num(np.clip(scaled, 0, 1))).astype(np.uint8)


def _data_url(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{kind};base64,{text}"
