"""Normalization statistics shared by the frames of a scene."""

from collections.abc import Callable, Iterator
from itertools import repeat

from torch import Tensor

from impasto.inference.brush import Brush, Source
from impasto.inference.strips import Statistics, between
from impasto.io.video.reader import Span, iter_spans

__all__ = ["steady"]


def steady(brush: Brush, source: Source) -> Callable[[Tensor], Tensor]:
    """Return a function that paints the frames of a video in their order, with shared statistics."""
    statistics = _shared(brush, source)
    return lambda image: brush(image, next(statistics))


def _shared(brush: Brush, source: Source) -> Iterator[Statistics]:
    """Yield the statistics of each frame of a video; it reads about ten seconds ahead.

    They are measured for spans of frames. From the middle of a span to the middle of the next one in the same scene
    they are interpolated, so that they follow the light and never jump. A short rest of a scene takes the statistics
    before it. The last ones are repeated at the end, because the second reading of a damaged file may give more frames.
    """

    def measured(span: Span) -> tuple[int, bool, Statistics]:
        return span.frames, span.begins, brush.measure(span.sample)

    start = done = 0  # the first frame of the span, and how many frames have their statistics
    last: Statistics = ()
    for frames, begins, now in map(measured, iter_spans(source)):
        middle = start + frames // 2
        if begins:
            yield from repeat(last, start - done)
            yield from repeat(now, middle - start)
        else:
            now = last if frames < start - done else now
            yield from (between(last, now, (frame - done) / (middle - done)) for frame in range(done, middle))
        start, done, last = start + frames, middle, now
    yield from repeat(last)
