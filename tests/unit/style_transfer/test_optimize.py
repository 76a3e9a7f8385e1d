"""The painting loop: the paper's total loss, its gradient, and what a run must do."""

import math
import re

import numpy as np
import pytest
import torch

from impasto.checkpoints.files import load_state, save_state
from impasto.errors import CheckpointError, ImageError, OptionError, UnknownName
from impasto.events import Done, Note, Started, Step
from impasto.metrics.style import score
from impasto.ops.color import luminance
from impasto.ops.filters import high_pass
from impasto.ops.resize import resize
from impasto.style_transfer.objective import Objective
from impasto.style_transfer.optimize import iter_optimize, optimize
from impasto.style_transfer.options import StylizeOptions
from nets import kept, picture, tiny_vgg

FEW = {"size": 48, "min_size": 24, "steps": 6, "step_decay": 0.5}


def run(options, content=None, styles=None, **kwargs):
    content = picture(36, 48) if content is None else content
    styles = [picture(40, 40, seed=1)] if styles is None else styles
    encoder = kwargs.pop("encoder", None) or tiny_vgg()
    return list(iter_optimize(content, styles, encoder, options, **kwargs))


# --- the objective ---------------------------------------------------------


def test_total_loss_is_eq_7_of_the_paper():
    """α L_content + β L_style from eqs. 1-7 in numpy float64 loops, on the features of the network."""
    alpha, beta = 1e-3, 1.0
    encoder = tiny_vgg(dtype=torch.float64)
    content, style, image = (picture(32, 32, seed, torch.float64) for seed in (0, 1, 2))
    content_layer, style_layers = "conv4_2", ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
    seen = {
        name: {k: v[0].numpy() for k, v in encoder(x, [content_layer, *style_layers]).items()}
        for name, x in (("p", content), ("a", style), ("x", image))
    }
    l_content = 0.5 * ((seen["x"][content_layer] - seen["p"][content_layer]) ** 2).sum()
    l_style = 0.0
    for layer in style_layers:
        f, a = (seen[k][layer].reshape(seen[k][layer].shape[0], -1) for k in ("x", "a"))
        n, m = f.shape
        l_style += 1 / 5 * ((f @ f.T - a @ a.T) ** 2).sum() / (4 * n**2 * m**2)
    n_m = seen["x"][content_layer].size
    options = StylizeOptions(
        content_weight=alpha * n_m / 2,  # eq. 1 is half a sum, ours a mean
        style_weight=beta / 4,  # eq. 4 has a quarter
        content_layers=content_layer,
        style_layers=",".join(style_layers),
        content_focus=0,
        loss_scale="absolute",
        tv_weight=0,
        range_weight=0,
    )
    parts, _ = Objective(encoder, content, [style], options)(image)
    assert parts["content"] == pytest.approx(alpha * l_content, rel=1e-10)
    assert parts["style"] == pytest.approx(beta * l_style, rel=1e-10)
    assert parts["total"] == pytest.approx(alpha * l_content + beta * l_style, rel=1e-10)


def test_gradient_lies_in_memory_as_a_checkpoint_gives_it_back():
    # Sums depend on the order of memory in their last bits, and a resumed run must give the same bytes.
    content, style = picture(32, 32), picture(32, 32, 1)
    image = picture(32, 32, 2).contiguous(memory_format=torch.channels_last)
    assert Objective(tiny_vgg(), content, [style], StylizeOptions())(image)[1].is_contiguous()


@pytest.mark.parametrize("style_loss", ["gram", "moments", "wasserstein"])
@pytest.mark.parametrize("loss_scale", ["relative", "absolute"])
def test_gradient_agrees_with_finite_differences(style_loss, loss_scale):
    options = StylizeOptions(style_loss=style_loss, loss_scale=loss_scale, tv_weight=0.3)
    content, style, image = (picture(24, 26, seed, torch.float64) for seed in (0, 1, 2))
    layers = "relu1_1,relu2_1"  # with more positions than channels, so that covariances have full rank
    options = options.changed(style_layers=layers, content_layers="relu2_2")
    objective = Objective(tiny_vgg(dtype=torch.float64), content, [style], options)
    direction = torch.randn(image.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    step = 1e-6
    up, down = (objective(image + sign * step * direction)[0]["total"] for sign in (1, -1))
    slope = (objective(image)[1] * direction).sum().item() / image.numel()
    assert slope == pytest.approx((up - down) / (2 * step), rel=1e-4)


def test_motifs_of_1_are_the_five_layers_of_the_paper_to_the_last_bit():
    content, style, image = (picture(48, 48, seed) for seed in (0, 1, 2))
    five = {f"relu{block}_1": 0.2 for block in range(1, 6)}
    ones = [StylizeOptions(motifs=1), StylizeOptions(style_layers=five)]
    (parts, gradient), (same, again) = (Objective(tiny_vgg(), content, [style], options)(image) for options in ones)
    assert parts == same
    assert torch.equal(gradient, again)
    without = Objective(tiny_vgg(), content, [style], StylizeOptions(motifs=0))
    assert "relu5_1" not in without.layers
    assert without(image)[0]["style"] != parts["style"]


@pytest.mark.parametrize("focus", [0.5, 1.0, 2.0])
def test_content_focus_weighs_positions_by_the_energy_around_them(focus):
    encoder, content, image = tiny_vgg(dtype=torch.float64), *(picture(40, 48, seed, torch.float64) for seed in (0, 1))
    p, x = (encoder(one, ["relu4_2"])["relu4_2"][0].numpy() for one in (content, image))
    h, w = p.shape[1:]
    energy = np.zeros((h, w))
    for i in range(h):
        for j in range(w):
            rows, columns = slice(max(0, i - 1), i + 2), slice(max(0, j - 1), j + 2)
            energy[i, j] = (p[:, rows, columns] ** 2).mean()
    guide = (energy / energy.mean() + 1e-3) ** focus
    expected = ((x - p) ** 2 * (guide / guide.mean())).mean()
    options = StylizeOptions(content_weight=1, content_focus=focus, loss_scale="absolute")
    parts, _ = Objective(encoder, content, [image], options)(image)
    assert parts["content"] == pytest.approx(expected, rel=1e-10)


def test_relative_content_loss_is_measured_in_the_energy_of_the_look_that_is_wanted():
    # |F - P|² / (2 |S|²), by hand from the features; at half the strength S is half the photograph's own.
    encoder, content, styles = tiny_vgg(), picture(32, 32), [picture(32, 32, 1), picture(32, 32, 2)]
    p, s, t = (encoder(x, ["relu4_2"])["relu4_2"].double() for x in (content, *styles))
    options = StylizeOptions(content_weight=1, style_weights=(3, 1), content_focus=0)
    parts, _ = Objective(encoder, content, styles, options)(styles[0])
    energy = 0.75 * s.square().mean() + 0.25 * t.square().mean()
    assert parts["content"] == pytest.approx(((s - p).square().mean() / (2 * energy)).item(), rel=1e-5)
    half, _ = Objective(encoder, content, styles, options.changed(strength=0.5))(styles[0])
    assert half["content"] == pytest.approx(((s - p).square().mean() / (energy + p.square().mean())).item(), rel=1e-5)
    absolute, _ = Objective(encoder, content, styles, options.changed(loss_scale="absolute"))(styles[0])
    assert absolute["content"] == pytest.approx((s - p).square().mean().item(), rel=1e-5)


@pytest.mark.parametrize("loss", ["gram", "moments", "wasserstein"])
def test_sixteen_bits_lead_the_same_way(loss):
    content, style, image = (picture(48, 64, seed) for seed in range(3))
    options = StylizeOptions(style_loss=loss)
    (parts, gradient), (half_parts, half) = (
        Objective(tiny_vgg(dtype=dtype), content, [style], options)(image) for dtype in (torch.float32, torch.bfloat16)
    )
    assert half.dtype is torch.float32
    assert torch.cosine_similarity(gradient.flatten(), half.flatten(), dim=0) > 0.85
    assert half_parts == pytest.approx(parts, rel=0.02)


def test_strength_mixes_the_looks_of_photograph_and_style():
    encoder, content, style = tiny_vgg(dtype=torch.float64), *(picture(32, 40, seed, torch.float64) for seed in (0, 1))
    objective = Objective(encoder, content, [style], StylizeOptions(strength=0.3))
    for layer, (target,) in objective.style_targets.items():
        grams = []
        for image in (content, style):
            features = encoder(image, [layer])[layer][0].flatten(1).numpy()
            grams.append(features @ features.T / features.shape[1])
        np.testing.assert_allclose(target[0].numpy(), 0.7 * grams[0] + 0.3 * grams[1], rtol=1e-10)
        assert objective.style_units[layer] == pytest.approx((grams[1] ** 2).mean())


def test_strength_goes_from_the_photograph_to_the_style():
    encoder, content, style = tiny_vgg(padding="replicate"), picture(36, 48), picture(40, 40, 1)
    objective = Objective(encoder, content, [style], StylizeOptions(motifs=1))
    left = []
    for strength in (0.0, 0.25, 0.5, 0.75, 1.0):
        options = StylizeOptions(size=48, min_size=48, steps=20, strength=strength, tv_weight=0, motifs=1)
        image = optimize(content, [style], encoder, options)
        left.append(objective(image)[0]["style"])
        if not strength:
            torch.testing.assert_close(image, resize(content, (36, 48)), rtol=0, atol=2e-3)
    assert left == sorted(left, reverse=True) and left[-1] < 0.7 * left[0]


def test_relative_losses_do_not_depend_on_the_networks_units():
    content, style, image = (picture(32, 32, seed) for seed in (0, 1, 2))
    encoder = tiny_vgg()

    def louder(x, layers):
        return {name: 50 * features for name, features in encoder(x, layers).items()}

    options = StylizeOptions()
    quiet, loud = (Objective(e, content, [style], options)(image)[0] for e in (encoder, louder))
    assert loud["content"] == pytest.approx(quiet["content"], rel=1e-4)
    assert loud["style"] == pytest.approx(quiet["style"], rel=1e-4)


def test_losses_mean_the_same_at_every_size():
    # The same pattern repeated: only what borders and seams add to the means differs.
    encoder = tiny_vgg(padding="replicate")
    small = [picture(64, 64, seed) for seed in (0, 1, 2)]
    large = [x.repeat(1, 1, 2, 2) for x in small]
    options = StylizeOptions(tv_weight=1, style_layers="relu1_1,relu2_1,relu3_1")
    a, b = (Objective(encoder, c, [s], options)(x)[0] for c, s, x in (small, large))
    for part in ("content", "style", "tv"):
        assert b[part] == pytest.approx(a[part], rel=0.2), part


def test_pixels_out_of_range_cost_their_mean_square():
    # 2 of 3 * 32 * 32 values are out by 0.5 and 0.25: 5 (0.25 + 0.0625) / 3072.
    content, image = picture(32, 32), torch.full((1, 3, 32, 32), 0.5)
    image[0, 0, 0, 0], image[0, 1, 5, 5] = 1.5, -0.25
    parts, _ = Objective(tiny_vgg(), content, [content], StylizeOptions(range_weight=5))(image)
    assert parts["range"] == pytest.approx(5 * 0.3125 / 3072)


def test_several_styles_lie_between():
    encoder, content, image = tiny_vgg(), picture(32, 32), picture(32, 32, 5)
    styles = [picture(32, 32, 1), picture(32, 32, 2)]

    def style_loss(chosen, **settings):
        return Objective(encoder, content, chosen, StylizeOptions(**settings))(image)[0]["style"]

    assert style_loss(styles, style_weights=(1, 0)) == pytest.approx(style_loss(styles[:1]))
    assert style_loss(styles, style_weights=(0, 3)) == pytest.approx(style_loss(styles[1:]))
    assert style_loss(styles) != pytest.approx(style_loss(styles, style_weights=(3, 1)))
    assert style_loss(styles) == pytest.approx(style_loss(styles, style_weights=(2, 2)))


@pytest.mark.parametrize("scale", ["relative", "absolute"])
@pytest.mark.parametrize("tile", [None, 32])
def test_measures_are_those_of_score(scale, tile):
    content, style, painted = (picture(64, 64, seed) for seed in (1, 2, 3))
    encoder, layers = tiny_vgg(padding="replicate"), {"relu2_1": 3.0}
    settings = {"loss_scale": scale, "style_layers": layers, "content_weight": 0.7, "style_weight": 5}
    options = StylizeOptions(content_focus=0.0, **settings)
    objective = Objective(encoder, content, [style], options, tile=tile)
    measures = objective.measures(objective(painted)[0])
    found = score(painted, content, [style], encoder, style_layers=tuple(layers), content_layers=("relu4_2",))
    assert measures["style"] == pytest.approx(found.style["relu2_1"], rel=1e-4)
    assert measures["content"] == pytest.approx(found.content["relu4_2"], rel=1e-4)
    objective = Objective(encoder, content, [style], StylizeOptions(**settings), tile=tile)
    assert objective.measures(objective(painted)[0])["content"] == pytest.approx(found.content["relu4_2"], rel=0.1)
    options = StylizeOptions(content_weight=0)
    assert Objective(encoder, content, [style], options).measures({"content": 0.0, "style": 1.0}).keys() == {"style"}
    several = Objective(encoder, content, [style], StylizeOptions(style_weight=4))
    by_layer = score(painted, content, [style], encoder, style_layers=tuple(several.style_layers)).style
    mean = sum(w * by_layer[layer] for layer, w in several.style_layers.items()) / sum(several.style_layers.values())
    assert several.measures(several(painted)[0])["style"] == pytest.approx(mean, rel=1e-4)


# --- a run -----------------------------------------------------------------


def test_events_tell_the_plan_every_step_and_the_end():
    events = run(StylizeOptions(**FEW))
    assert isinstance(events[0], Started)
    assert events[0].scales == ((18, 24, 6), (36, 48, 3))
    steps = [event for event in events if isinstance(event, Step)]
    assert [event.step for event in steps] == list(range(1, 10))
    assert {event.steps for event in steps} == {9}
    assert [event.scale for event in steps] == [1] * 6 + [2] * 3
    assert steps[-1].remaining == 0
    progress = [event.progress for event in steps]
    assert progress == sorted(progress) and progress[-1] == 1
    assert 0 < progress[5] < 6 / 9  # a step at a finer scale is more work
    assert all(event.measures.keys() == {"content", "style"} for event in steps)
    assert all(
        event.losses["total"]
        == pytest.approx(sum(event.losses[k] for k in ("content", "style", "tv", "range")), rel=1e-5)
        for event in steps
    )
    assert isinstance(events[-1], Done)
    assert events[-1].image.shape == (1, 3, 36, 48)
    assert events[-1].image.min() >= 0
    assert events[-1].image.max() <= 1


@pytest.mark.parametrize(
    "settings", [{}, {"optimizer": "adam", "learning_rate": 0.05}, {"init": "noise"}, {"init": "style"}]
)
def test_painting_learns(settings):
    options = StylizeOptions(size=48, min_size=48, steps=25, **settings)
    steps = [event for event in run(options) if isinstance(event, Step)]
    assert steps[-1].losses["total"] < 0.5 * steps[0].losses["total"]


@pytest.mark.parametrize("colors", ["style", "luminance", "match"])
def test_a_photograph_painted_like_itself_stays_itself(colors):
    content = picture(48, 48)
    painted = run(StylizeOptions(**FEW, colors=colors), content, [content])[-1].image
    psnr = -10 * math.log10((painted - content).square().mean().item() + 1e-12)
    assert psnr > 35


def test_same_seed_same_bytes_and_another_seed_another_picture():
    options = StylizeOptions(**FEW, init="noise")
    a, b = (run(options)[-1].image for _ in range(2))
    assert torch.equal(a, b)
    assert not torch.equal(a, run(options.changed(seed=1))[-1].image)


def test_the_global_random_state_is_neither_used_nor_changed():
    options, encoder = StylizeOptions(**FEW, init="noise"), tiny_vgg()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    a = run(options, encoder=encoder)[-1].image
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(run(options, encoder=encoder)[-1].image, a)


def test_gradients_stay_on_for_the_consumer_between_events():
    for _ in iter_optimize(picture(36, 48), [picture(40, 40, 1)], tiny_vgg(), StylizeOptions(**FEW)):
        assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    "settings", [{}, {"optimizer": "adam", "learning_rate": 0.05, "averaging": 0.9}, {"plateau": 0.01}]
)
@pytest.mark.parametrize("stop", [1, 5, 6, 8])
def test_interrupted_and_resumed_gives_the_same_bytes(settings, stop, tmp_path):
    options = StylizeOptions(**{**FEW, **settings})
    whole = run(options)[-1].image
    for event in iter_optimize(picture(36, 48), [picture(40, 40, 1)], tiny_vgg(), options):
        if isinstance(event, Step) and event.step == stop:
            save_state(tmp_path / "run.safetensors", *event.state())
            break
    resumed = run(options, resume=load_state(tmp_path / "run.safetensors"))
    assert torch.equal(resumed[-1].image, whole)
    assert resumed[-1].steps == 9


def test_a_checkpoint_of_another_plan_is_refused():
    state = next(e for e in run(StylizeOptions(**FEW)) if isinstance(e, Step)).state()
    with pytest.raises(CheckpointError, match="other scales"):
        run(StylizeOptions(**FEW).changed(steps=7), resume=state)


def test_a_plateau_ends_a_scale_early():
    options = StylizeOptions(size=32, min_size=32, steps=400, plateau=0.5)
    events = run(options)
    assert events[-1].steps < 60
    assert events[-2].steps == events[-1].steps  # the plan told shrinks with it
    assert events[-2].remaining == 0


def test_a_plateau_is_the_same_for_an_interrupted_run():
    options = StylizeOptions(size=32, min_size=32, steps=400, plateau=0.5)
    whole = run(options)
    assert whole[-1].steps > 15
    for event in iter_optimize(picture(36, 48), [picture(40, 40, 1)], tiny_vgg(), options):
        if isinstance(event, Step) and event.step == 15:
            state = kept(event)
            break
    resumed = run(options, resume=state)
    assert resumed[-1].steps == whole[-1].steps
    assert torch.equal(resumed[-1].image, whole[-1].image)


def test_a_time_budget_is_kept_and_still_reaches_the_full_size():
    options = StylizeOptions(size=64, min_size=16, steps=100_000, minutes=0.03)
    events = run(options)
    assert events[-1].image.shape == (1, 3, 48, 64)
    assert events[-1].seconds < 4 * 1.8  # generous: the machine may be busy


def test_averaging_is_the_corrected_moving_average_of_the_iterates():
    settings = {"size": 32, "min_size": 32, "steps": 5, "optimizer": "adam", "learning_rate": 0.1}
    iterates = [event.image() for event in run(StylizeOptions(**settings)) if isinstance(event, Step)]
    shares = [0.1 * 0.9 ** (4 - k) for k in range(5)]  # sums to 1 - 0.9^5
    expected = sum(share * image for share, image in zip(shares, iterates, strict=True)) / (1 - 0.9**5)
    averaged = run(StylizeOptions(**settings, averaging=0.9))[-1].image
    assert torch.allclose(averaged, expected, atol=1e-6)


def test_average_of_one_step_is_that_step():
    settings = {"size": 32, "min_size": 32, "steps": 1}
    a, b = (run(StylizeOptions(**settings, averaging=decay))[-1].image for decay in (0.0, 0.99))
    assert torch.allclose(a, b, atol=1e-6)


def test_total_variation_removes_speckle():
    noisy = (picture(36, 48) + 0.2 * torch.randn(1, 3, 36, 48, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    settings = {**FEW, "style_weight": 0.0, "tv_weight": 0.0}
    rough = run(StylizeOptions(**settings), first=noisy)[-1].image
    smooth = run(StylizeOptions(**{**settings, "tv_weight": 5.0}), first=noisy)[-1].image
    assert high_pass(smooth).square().mean() < 0.5 * high_pass(rough).square().mean()


def test_luminance_keeps_the_photographs_colors():
    content = picture(36, 48)
    painted = run(StylizeOptions(**FEW, colors="luminance"), content)[-1].image
    inside = ((painted > 0) & (painted < 1)).all(1)
    chroma = (painted - luminance(painted)) - (content - luminance(content))
    assert chroma.abs().amax(1)[inside].max() < 1e-4


def test_matched_colors_are_nearer_the_photographs():
    content = 0.2 + 0.2 * picture(36, 48)
    style = picture(40, 40, 1)
    options = StylizeOptions(**{**FEW, "steps": 30, "init": "style"})
    far, near = (
        (run(options.changed(colors=colors), content, [style])[-1].image.mean((2, 3)) - content.mean((2, 3))).norm()
        for colors in ("style", "match")
    )
    assert near < far


def test_a_first_picture_is_used():
    first = torch.full((1, 3, 20, 20), 0.25)
    options = StylizeOptions(size=48, min_size=48, steps=1, style_weight=0, content_weight=1)
    step = next(event for event in run(options, first=first) if isinstance(event, Step))
    assert (step.image() - 0.25).abs().mean() < 0.02


def test_coarse_scales_too_small_for_the_network_are_left_out():
    events = run(StylizeOptions(size=96, min_size=16, steps=2, motifs=1), picture(20, 96))
    assert min(events[0].scales[0][:2]) >= 16
    with pytest.raises(ImageError, match="needs at least"):
        run(StylizeOptions(size=96, min_size=16, steps=2, motifs=1), picture(4, 96))


def test_wrong_numbers_and_names_are_told():
    with pytest.raises(OptionError, match="2 style_weights for 1 styles"):
        run(StylizeOptions(**FEW, style_weights=(1, 2)))
    with pytest.raises(UnknownName, match="relu9_9"):
        run(StylizeOptions(**FEW, style_layers="relu9_9"))


def test_optimize_is_the_last_event():
    options = StylizeOptions(**FEW)
    image = optimize(picture(36, 48), [picture(40, 40, 1)], tiny_vgg(), options)
    assert torch.equal(image, run(options)[-1].image)
    assert isinstance(image.numpy(), np.ndarray)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("weight", ["style_weight", "tv_weight"])
def test_weights_that_allow_no_step_are_told(optimizer, weight):
    content, style = picture(24, 32), picture(24, 24, 3)

    def run(value):
        options = StylizeOptions(size=32, steps=3, polish=0, min_size=10_000, optimizer=optimizer, **{weight: value})
        events = list(iter_optimize(content, [style], tiny_vgg(), options))
        return events[-1].image, [event.text for event in events if isinstance(event, Note)]

    image, told = run(1e30)
    assert torch.equal(image, content) and len(told) == 1
    assert re.match(
        r"no step changed the picture, since its loss of \S+e\+\d+ allows none\. Lower the weights", told[0]
    )
    image, told = run(1e3)
    assert image.isfinite().all() and not torch.equal(image, content) and not told
    with pytest.raises(OptionError, match=r"^the loss became (inf|nan) in step \d; expected a number\. Lower the weig"):
        run(1e300)
