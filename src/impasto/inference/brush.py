"""A loaded network with its settings, ready for pictures."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.checkpoints.files import MODEL
from impasto.checkpoints.load import load_style
from impasto.checkpoints.model import Model, Style
from impasto.data.styles import open_style
from impasto.errors import OptionError, UnknownName, unknown_name
from impasto.inference.options import ApplyOptions
from impasto.inference.strips import Statistics, apply_model, measure
from impasto.inference.style_prediction import predict_row
from impasto.io.masks import read_mask
from impasto.io.picture import Picture
from impasto.io.tensors import Source, as_tensor
from impasto.networks.microast import MicroAST
from impasto.networks.multistyle import Painter
from impasto.ops.resize import resize
from impasto.style_transfer.regions import feather

__all__ = ["Brush", "Source", "style_parts"]


class Brush:
    """A network with its settings, checked: gets `(1, 3, H, W)` on the CPU, gives it painted."""

    def __init__(
        self,
        model: Model,
        options: ApplyOptions,
        picture: Picture | None = None,
        regions: Sequence[tuple[Source, str]] = (),
        keep: Source | None = None,
    ) -> None:
        self.model, self.options = model, options
        self.device = next(model.network.parameters()).device
        self.look = self._look(options.style)
        if regions and not isinstance(model.network, Painter):
            raise OptionError("this network has one style for the whole picture; leave out --region.")
        self.regions = [(self._mask(mask, picture), self._look(style)) for mask, style in regions]
        self.keep = None if keep is None else self._mask(keep, picture)
        # what cannot be painted is said before anything is
        self.model.check(self._style((8, 8)), options.strength)

    def _look(self, text: str) -> Any:
        """Return what the network takes as its style."""
        if isinstance(self.model.network, MicroAST):
            if not text:
                raise OptionError("this network paints after a picture; expected one as --style.")
            return as_tensor(open_style(text, self.options.style_size)).to(self.device)
        if not text:
            default = self.model.default or next(reversed(self.model.styles[:2]), "")
            return {default: 1.0} if default else None
        return {self._known(name): share for name, share in style_parts(text, self.model.styles)}

    def _known(self, name: str) -> str:
        """Return the name of a style that the network knows, after it was told that of a file or a picture."""
        if name in self.model.styles or not isinstance(self.model.network, Painter):
            return name
        if Path(name).suffix == ".safetensors" or (Path(name) / MODEL).is_file():
            name, row = load_style(name, self.model)
        else:
            try:
                picture = open_style(name, self.options.style_size)
            except UnknownName:
                raise unknown_name("a style of this network, nor a picture", name, self.model.styles) from None
            row = predict_row(
                self.model,
                as_tensor(picture),
                size=self.options.style_size,
                device=self.options.device,
                precision=self.options.precision,
            )
        self.model = self.model.knowing(name, row)
        return name

    def _mask(self, source: Source, picture: Picture | None) -> Tensor:
        assert picture is not None
        mask = torch.from_numpy(read_mask(source, picture).copy())[None, None]
        return feather(mask, round(self.options.feather * max(picture.size)))

    def _style(self, size: tuple[int, int]) -> Style:
        """Return the style for a picture of that size, with maps where there are regions."""
        if not self.regions:
            style: Style = self.look
            return style
        free = torch.ones(1, 1, *size)
        shares: dict[str, Any] = {}
        parts = [(resize(mask, size).clamp(0, 1), look) for mask, look in reversed(self.regions)]
        for mask, look in [*parts, (torch.ones_like(free), self.look)]:
            own = free * mask
            free = free - own
            for name, share in look.items():
                shares[name] = shares.get(name, 0) + own.to(self.device) * (share / sum(look.values()))
        return shares

    def _sized(self, image: Tensor) -> Tensor:
        """Return pictures as large as they are painted, where they are painted."""
        height, width = image.shape[-2:]
        size = self.options.size
        if size is not None and max(height, width) != size:
            factor = size / max(height, width)
            image = resize(image, (max(1, round(height * factor)), max(1, round(width * factor)))).clamp(0, 1)
        return image.to(self.device)

    def measure(self, images: Tensor) -> Statistics:
        """Return the statistics of pictures taken as one, of a style that is the same everywhere."""
        options = self.options
        return measure(
            self.model,
            self._sized(images),
            style=self.look,
            strength=options.strength,
            max_memory=options.max_memory,
        )

    def __call__(self, image: Tensor, statistics: Statistics | None = None) -> Tensor:
        options = self.options
        image = self._sized(image)
        height, width = image.shape[-2:]
        free = None if self.keep is None else 1 - resize(self.keep, (height, width)).clamp(0, 1).to(self.device)
        return apply_model(
            self.model,
            image,
            style=self._style((height, width)),
            strength=options.strength,
            colors=options.colors,
            mask=free,
            statistics=statistics,
            max_memory=options.max_memory,
        ).cpu()


def style_parts(text: str, known: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Yield names and shares of "a:0.6,b:0.4"; a name is one that is known, or a file, which may hold colons."""
    for part in text.split(","):
        name, colon, share = part.strip().rpartition(":")
        if not colon or Path(part.strip()).exists():
            yield part.strip(), 1.0
            continue
        try:
            yield name.strip(), float(share)
        except ValueError:
            if name in known:
                raise OptionError(
                    f"the share of a style is {share!r}; expected a number, as in starry_night:0.6."
                ) from None
            yield part.strip(), 1.0  # such as swirl:7, or a file that is not there, which will be said
