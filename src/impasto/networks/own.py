"""Networks of the caller's own, in the shape that recipes and loaded models expect."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from impasto.errors import OptionError

__all__ = ["OwnAutoencoder", "OwnDiscriminator", "OwnGenerator", "OwnVAE"]

_EPSILON = 1e-6  # probabilities keep this distance from 0 and 1 when they become logits


class _Own(nn.Module):
    """A module of the caller's own with what is known of it.

    Attributes:
        own: the module; its weights are what files hold.
        shape: channels, height and width of images.
        latent: size of the latent code.
        classes: 0, since it is told no classes.
    """

    classes = 0
    kind = "own"

    def __init__(self, own: nn.Module, shape: Sequence[int]) -> None:
        super().__init__()
        self.own, self.shape = own, tuple(shape)
        self.latent = 0

    def _ask(self, name: str, *given: Tensor) -> Any:
        method = getattr(self.own, name, None)
        if method is None:
            raise OptionError(
                f"{type(self.own).__name__} has no `{name}`; expected encode(images) and decode(latents)."
            )
        return method(*given)


class OwnAutoencoder(_Own):
    """An autoencoder of the caller's own: `encode(images)` gives latent codes `(B, Z)`, `decode` images in [0, 1].

    Args:
        own: a module with these two methods; with `logits(latents)`, images before the sigmoid, losses are exact.
        shape: channels, height and width of images `(B, C, H, W)` in [0, 1].

    Raises:
        OptionError: a method is missing, or gives another shape.
    """

    def __init__(self, own: nn.Module, shape: Sequence[int]) -> None:
        super().__init__(own, shape)
        training = own.training
        own.eval()
        with torch.no_grad(), torch.random.fork_rng():
            codes = self._codes(self.encode(torch.rand(2, *self.shape)))
            if codes.ndim != 2:
                raise OptionError(f"encode gives {tuple(codes.shape)} for two images; expected (2, latent size).")
            self.latent = codes.shape[1]
            images = self.decode(codes)
        own.train(training)
        if tuple(images.shape) != (2, *self.shape):
            raise OptionError(f"decode gives {tuple(images.shape)} for two latent codes; expected {(2, *self.shape)}.")

    @staticmethod
    def _codes(encoded: Any) -> Tensor:
        if not isinstance(encoded, Tensor):
            raise OptionError("encode gives several tensors; expected one, the latent codes (B, Z).")
        return encoded

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Any:
        """Return latent codes `(B, Z)`."""
        return self._codes(self._ask("encode", images))

    def logits(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images before the sigmoid, `(B, C, H, W)`."""
        if hasattr(self.own, "logits"):
            found: Tensor = self._ask("logits", codes)
            return found
        return torch.logit(self._ask("decode", codes), _EPSILON)

    def decode(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images `(B, C, H, W)` in [0, 1]."""
        found: Tensor = self.logits(codes).sigmoid() if hasattr(self.own, "logits") else self._ask("decode", codes)
        return found

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return reconstructions, `(B, C, H, W)` in [0, 1]."""
        return self.decode(self._codes(self.encode(images)))


class OwnVAE(OwnAutoencoder):
    """A VAE of the caller's own: `encode(images)` gives mean and log-variance, `(B, Z)` each; see `OwnAutoencoder`."""

    @staticmethod
    def _codes(encoded: Any) -> Tensor:
        if not isinstance(encoded, tuple | list) or len(encoded) != 2:
            raise OptionError("encode gives one tensor; expected mean and log-variance of a VAE, (B, Z) each.")
        mean: Tensor = encoded[0]
        return mean

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Any:
        """Return mean and log-variance of the latent codes, `(B, Z)` each."""
        encoded = self._ask("encode", images)
        self._codes(encoded)
        return encoded[0], encoded[1]


class OwnGenerator(_Own):
    """A generator of the caller's own: called with latent codes `(B, Z)`, it gives images `(B, C, H, W)` in [0, 1].

    Args:
        own: the module; its attribute `latent_size` or `latent` says Z.
        shape: channels, height and width of images.

    Raises:
        OptionError: it does not say Z, or gives another shape.
    """

    def __init__(self, own: nn.Module, shape: Sequence[int]) -> None:
        super().__init__(own, shape)
        latent = getattr(own, "latent_size", getattr(own, "latent", None))
        if not isinstance(latent, int) or latent < 1:
            raise OptionError(
                f"{type(own).__name__} has no attribute latent_size; expected the size of its latent code."
            )
        self.latent = latent
        with torch.no_grad(), torch.random.fork_rng():
            images = own(torch.randn(2, latent))
        if tuple(images.shape) != (2, *self.shape):
            raise OptionError(f"the generator gives {tuple(images.shape)} for two codes; expected {(2, *self.shape)}.")

    def decode(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images `(B, C, H, W)` in [0, 1]."""
        found: Tensor = self.own(codes)
        return found

    def forward(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images `(B, C, H, W)` in [0, 1]."""
        return self.decode(codes)


class OwnDiscriminator(_Own):
    """A discriminator of the caller's own: called with images `(B, C, H, W)`, it gives one logit each, `(B,)`.

    Args:
        own: the module; `(B, 1)` is taken, too.
        shape: channels, height and width of images.

    Raises:
        OptionError: it gives another shape.
    """

    def __init__(self, own: nn.Module, shape: Sequence[int]) -> None:
        super().__init__(own, shape)
        with torch.no_grad(), torch.random.fork_rng():
            logits = self(torch.rand(2, *self.shape))
        if tuple(logits.shape) != (2,):
            raise OptionError(f"the discriminator gives {tuple(logits.shape)} for two images; expected one logit each.")

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits `(B,)`."""
        found: Tensor = self.own(images)
        return found.flatten(1)[:, 0] if found.ndim > 1 and found[0].numel() == 1 else found
