"""Paint the README's pictures: `python docs/gallery.py`, a few minutes on two cores.

Everything starts from the photographs in `examples`, and from paintings and styles that come with impasto.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import impasto
from impasto import builtin_styles
from impasto.data.styles import open_style

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs" / "figures"
HERO = [("cat", "great_wave"), ("rocket", "starry_night"), ("astronaut", "adele_bloch_bauer"), ("coffee", "sunflowers")]
CELL = (600, 400)


def as_image(pixels: np.ndarray) -> Image.Image:
    """Return float RGB in [0, 1] as an image."""
    return Image.fromarray((pixels * 255 + 0.5).astype(np.uint8))


def filled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the upper middle of an image at exactly that width and height."""
    scale = max(size[0] / image.width, size[1] / image.height)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 8  # heads are near the top
    return image.crop((left, top, left + size[0], top + size[1]))


def hero(paintings: list[Image.Image]) -> Image.Image:
    """Lay four paintings out as a square of squares, each with its photograph and style in a corner."""
    sheet = Image.new("RGB", (2 * CELL[0] + 8, 2 * CELL[1] + 8), "white")
    for index, ((photo, style), painting) in enumerate(zip(HERO, paintings, strict=True)):
        x, y = (index % 2) * (CELL[0] + 8), (index // 2) * (CELL[1] + 8)
        sheet.paste(filled(painting, CELL), (x, y))
        corner = [Image.open(ROOT / "examples" / f"{photo}.jpg"), as_image(open_style(style, 512).pixels)]
        for place, small in enumerate(corner):
            framed = Image.new("RGB", (114, 80), "white")
            framed.paste(filled(small, (108, 74)), (3, 3))
            sheet.paste(framed, (x + CELL[0] - 244 + 118 * place, y + CELL[1] - 90))
    return sheet


def styles() -> Image.Image:
    """Lay every painted style out in four columns, with its name."""
    names, w, h, caption = builtin_styles.names(), 320, 256, 26
    sheet = Image.new("RGB", (4 * (w + 8) - 8, -(-len(names) // 4) * (h + caption)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for index, name in enumerate(names):
        x, y = (index % 4) * (w + 8), (index // 4) * (h + caption)
        sheet.paste(as_image(builtin_styles.paint(name, h, w)), (x, y))
        draw.text((x + 2, y + h + 3), name, fill="#555555", font=font)
    return sheet


def main() -> None:
    """Paint and write both figures."""
    styles().save(FIGURES / "styles.jpg", quality=85)
    paintings = []
    for photo, style in HERO:
        paintings.append(impasto.stylize(ROOT / "examples" / f"{photo}.jpg", style, size=640))
    hero(paintings).save(FIGURES / "hero.jpg", quality=88)


if __name__ == "__main__":
    main()
