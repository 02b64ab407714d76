"""One image of a file."""

import struct
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from intrinsic.errors import UserError
from intrinsic.missing_package import missing_package

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")
LARGEST = 100_000_000  # pixels: a file of some kilobytes may say that it has more than any memory holds


def read_image(path: Path, side: int, channels: int) -> Tensor:
    """The central square of an image as (channels, side, side) bytes, as cameras say that it is turned.

    Of 16 bits a pixel the upper 8 count, which pillow would cut off at 255; what is transparent lies on white.

    Raises:
        UserError: for a file that is damaged or no image, one of more than `LARGEST` pixels, and without pillow.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise missing_package("pillow", "images") from None

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what pillow says of odd metadata
            with Image.open(path, formats=FORMATS) as opened:
                if opened.width * opened.height > LARGEST:
                    raise ValueError(f"{opened.width} x {opened.height} pixels, {LARGEST} at most")
                turned = ImageOps.exif_transpose(opened)
                if turned.mode.startswith("I"):
                    turned = Image.fromarray((np.asarray(turned) >> 8).astype(np.uint8))
                elif "A" in turned.getbands() or "transparency" in turned.info:
                    above = turned.convert("RGBA")
                    turned = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
                fitted = ImageOps.fit(
                    turned.convert("RGB" if channels == 3 else "L"), (side, side), Image.Resampling.BICUBIC
                )
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        said = " ".join(str(error).replace(repr(str(path)), "it").split())[:120]
        raise UserError(f"{path} is damaged or no image ({said}): replace or remove it") from None
    pixels = torch.from_numpy(np.array(fitted))  # (side, side) or (side, side, 3)
    return pixels.view(side, side, channels).permute(2, 0, 1)
