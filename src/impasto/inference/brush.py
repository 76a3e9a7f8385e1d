"""A painter or translator with its settings, ready for pictures: styles, regions, masks, sizes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from impasto.checkpoints.files import MODEL
from impasto.data.style_names import as_text, spelled, style_parts, trained_style, unknown_style
from impasto.data.styles import open_style
from impasto.errors import OptionError, UnknownName
from impasto.inference.options import ApplyOptions
from impasto.inference.strips import Statistics, apply_model, measure
from impasto.inference.strokes import enlarged, painting_size
from impasto.io.convert import resize_picture
from impasto.io.masks import read_mask
from impasto.io.picture import Picture
from impasto.io.tensors import Source, as_kind, as_tensor, open_picture
from impasto.networks.microast import MicroAST
from impasto.networks.styled import StyledNetwork
from impasto.networks.translators import ResNetGenerator, UNetGenerator
from impasto.ops.color import transplant_luminance
from impasto.ops.resize import resize
from impasto.style_transfer.regions import feather

if TYPE_CHECKING:
    from impasto.inference.painter import Painter
    from impasto.inference.translator import Translator

__all__ = ["Brush", "Source", "is_style_file", "paint_picture"]

_COVERED = 0.7  # of the photograph's fine detail, by strokes that are painted at a smaller size
_GIVEN = "style {}"  # the name of a style that was given as a picture in memory


class Brush:
    """A model with its settings, checked: takes pictures `(B, 3, H, W)` on the CPU and returns them painted.

    Args:
        model: a painter or translator.
        options: how it paints.
        picture: the photograph, for which masks are read.
        regions: (mask, style) of parts that are painted in other styles; later ones lie over earlier ones.
        keep: a mask of what stays as it is.
        style: in place of that of the options: names with weights, an embedding, or a picture; see `Painter`.

    Raises:
        OptionError: the model cannot do that.
        UnknownName: it has no such style.
    """

    def __init__(
        self,
        model: "Painter | Translator",
        options: ApplyOptions,
        picture: Picture | None = None,
        regions: Sequence[tuple[Source, str]] = (),
        keep: Source | None = None,
        style: Any = None,
    ) -> None:
        self.model, self.options = model, options
        self.notes: tuple[str, ...] = ()  # on the reading of style images and masks
        if options.mode == "paper" and not isinstance(model.network, ResNetGenerator | UNetGenerator):
            raise OptionError(
                f"mode is 'paper', but the network is one of {model.architecture}; expected a translator."
            )
        self.device = model.device
        self.style = self._parsed(options.style if style is None else style)
        if regions and not isinstance(model.network, StyledNetwork):
            raise OptionError("this network has one style for the whole picture; leave out --region.")
        self.regions = [(self._mask(mask, picture), self._parsed(style)) for mask, style in regions]
        self.keep = None if keep is None else self._mask(keep, picture)
        self.model.check(self._style((8, 8)), options.strength)  # say what is wrong before anything is painted

    def _parsed(self, style: Any) -> Any:
        """Return what `Painter.paint` takes as its style: a picture, or names with weights."""
        network = self.model.network
        if isinstance(network, MicroAST):
            if isinstance(style, str) and not style:
                raise OptionError("this network takes a picture as style; expected one as --style.")
            opened = open_style(style, self.options.style_size, "auto")
            self.notes += opened.notes
            return as_tensor(opened).to(self.device)
        if isinstance(style, Mapping):
            return {self._known(name): weight for name, weight in style.items()}
        text = as_text(style)
        if text is not None:
            return self._named(text)
        name = _GIVEN.format(len(getattr(self.model, "styles", ())))
        self.model = self._more(name, style)
        return {name: 1.0}

    def _named(self, text: str) -> dict[str, float] | None:
        if not text:
            chosen = getattr(self.model, "chosen_style", None)
            return {chosen: 1.0} if chosen else None
        parts = style_parts(text, self.model.styles)
        return {self._known(name): 1.0 if weight is None else weight for name, weight in parts}

    def _known(self, name: str) -> str:
        """Return the name of a style that the model has, after adding that of a file, a name or a picture."""
        if not isinstance(self.model.network, StyledNetwork):
            return name
        painter: Any = self.model  # the only kind with such a network
        trained = trained_style(name)
        if not Path(name).is_file() and (trained is None or trained.card.get("base") != painter.fingerprint):
            own = next((style for style in painter.styles if spelled(style) == spelled(name)), None)
            if own is not None:
                return str(own)
        try:
            self.model = self._more(name, name)
        except UnknownName:
            raise unknown_style(name, painter.styles) from None
        return name

    def _more(self, name: str, style: Source) -> "Painter":
        with_style: Any = getattr(self.model, "with_style", None)
        if with_style is None:
            raise OptionError(f"the network of {self.model.architecture} has one style; leave out the style.")
        more: Painter = with_style(name, style, size=self.options.style_size)
        return more

    def _mask(self, source: Source, picture: Picture | None) -> Tensor:
        assert picture is not None
        notes = list[str]()
        mask = torch.from_numpy(read_mask(source, picture, notes).copy())[None, None]
        self.notes += tuple(note for note in notes if note not in self.notes)
        return feather(mask, round(self.options.feather * max(picture.size)))

    def _style(self, size: tuple[int, int]) -> Any:
        """Return the style for a picture of that size, with maps where there are regions."""
        if not self.regions:
            return self.style
        free = torch.ones(1, 1, *size)
        shares: dict[str, Any] = {}
        parts = [(resize(mask, size).clamp(0, 1), style) for mask, style in reversed(self.regions)]
        for mask, style in [*parts, (torch.ones_like(free), self.style)]:
            own = free * mask
            free = free - own
            for name, share in style.items():
                shares[name] = shares.get(name, 0) + own.to(self.device) * (share / sum(style.values()))
        return shares

    def _sized(self, image: Tensor) -> Tensor:
        """Return pictures at the size and on the device of the painting."""
        height, width = image.shape[-2:]
        size = self.options.size
        if size is not None and max(height, width) != size:
            factor = size / max(height, width)
            image = resize(image, (max(1, round(height * factor)), max(1, round(width * factor)))).clamp(0, 1)
        return image.to(self.device)

    def _set_mode(self) -> None:
        training = self.options.mode == "paper"
        if self.model.network.training != training:
            self.model.network.train(training)

    def _painting(self, image: Tensor) -> tuple[Tensor, int]:
        """Return pictures at the size at which they are painted, and the octaves that the painter adds."""
        repeats = getattr(self.model.network, "repeats", False)
        stroke_size = self.options.stroke_size or (1.0 if repeats else None)
        if stroke_size is None:
            return image, 0
        size, octaves = painting_size((image.shape[-2], image.shape[-1]), stroke_size, repeats)
        return resize(image, size).clamp(0, 1), octaves

    def measure(self, images: Tensor) -> Statistics:
        """Return the statistics of pictures taken as one, for a style that is the same everywhere."""
        options = self.options
        self._set_mode()
        small, octaves = self._painting(self._sized(images))
        return measure(
            self.model,
            small,
            style=self.style,
            strength=options.strength,
            octaves=octaves,
            max_memory=options.max_memory,
        )

    def __call__(self, image: Tensor, statistics: Statistics | None = None) -> Tensor:
        """Return pictures painted, `(B, 3, h, w)` on the CPU."""
        options = self.options
        self._set_mode()
        image = self._sized(image)
        height, width = image.shape[-2:]
        small, octaves = self._painting(image)
        alike = small.shape == image.shape
        free = None if self.keep is None else 1 - resize(self.keep, (height, width)).clamp(0, 1).to(self.device)
        painted = apply_model(
            self.model,
            small,
            style=self._style((small.shape[-2], small.shape[-1])),
            strength=options.strength,
            colors=options.colors if alike else "style",
            mask=free if alike else None,
            statistics=statistics,
            octaves=octaves,
            max_memory=options.max_memory,
        )
        if not alike:
            repeats = getattr(self.model.network, "repeats", False)
            painted = enlarged(painted, image, small, 1.0 if repeats else 1 - _COVERED * options.strength)
            painted = self.finished(painted, image)
        return painted.cpu()

    def finished(self, painted: Tensor, image: Tensor) -> Tensor:
        """Return paintings with the colors and the masked parts of their photographs that the options keep."""
        size = (image.shape[-2], image.shape[-1])
        painted = painted if self.options.colors == "style" else transplant_luminance(painted, image)
        if self.keep is None:
            return painted
        return torch.lerp(painted, image, resize(self.keep, size).clamp(0, 1).to(image))


def paint_picture(
    model: "Painter | Translator",
    source: Source,
    settings: Mapping[str, Any],
    *,
    style: Any = None,
    regions: Sequence[tuple[Source, str]] = (),
    keep: Source | None = None,
) -> Any:
    """Return a picture painted, as the kind that was given; see `Painter.__call__`."""
    options = ApplyOptions(**settings)
    picture = open_picture(source, digest=False)
    brush = Brush(model, options, picture, regions, keep, style)
    small = picture if options.size is None else resize_picture(picture, options.size)
    return as_kind(source, brush(as_tensor(small)), picture)


def is_style_file(source: Source) -> bool:
    """Return whether something names a file or run folder of `impasto train style`."""
    if not isinstance(source, str | Path):
        return False
    return Path(source).suffix == ".safetensors" or (Path(source) / MODEL).is_file()
