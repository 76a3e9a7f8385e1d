"""Events of trainings for tests, through `impasto.train.start`."""

import impasto


def events(method, data, options, **more):
    """The events of a run that nobody has begun to iterate over."""
    return iter(impasto.train.start(method, data, options=options, **more))


def iter_autoencoder(images="mnist5k", options=None, **more):
    return events("autoencoder", images, options, **more)


def iter_vae(images="mnist5k", options=None, **more):
    return events("vae", images, options, **more)


def iter_gan(images="mnist5k", options=None, **more):
    return events("gan", images, options, **more)


def iter_dcgan(images="mnist5k", options=None, **more):
    return events("dcgan", images, options, **more)


def iter_classifier(images="mnist5k", options=None, **more):
    return events("classifier", images, options, **more)


def iter_johnson(style, photos, options=None, **more):
    return events("johnson", {"style": style, "photos": photos}, options, **more)


def iter_painter(styles, photos, options=None, *, start=None, paintings=None, **more):
    data = {"styles": styles, "photos": photos, "start": start, "paintings": paintings}
    return events("painter", data, options, **more)


def iter_style(style, photos=(), base="painter", options=None, **more):
    return events("style", {"style": style, "photos": photos, "base": base}, options, **more)


def iter_predictor(paintings, photos, base="painter", options=None, **more):
    return events("predictor", {"paintings": paintings, "photos": photos, "base": base}, options, **more)


def iter_cyclegan(a, b, options=None, **more):
    return events("cyclegan", {"a": a, "b": b}, options, **more)


def iter_pix2pix(pairs, options=None, *, second=None, **more):
    data = {"pairs": pairs} if second is None else {"a": pairs, "b": second}
    return events("pix2pix", data, options, **more)
