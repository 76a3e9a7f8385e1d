"""Settings: refused with one sentence, round trips, presets and scales."""

import json

import pytest

from impasto.errors import OptionError, UnknownName
from impasto.options import read_box
from impasto.recipes.autoencoder.options import AutoencoderOptions
from impasto.recipes.cyclegan.options import CycleGANOptions
from impasto.recipes.gan.options import GANOptions
from impasto.recipes.johnson.options import JohnsonOptions
from impasto.style_transfer.options import PRESETS, QUALITIES, StylizeOptions, quality_settings


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"steps": 0}, "steps is 0; expected 1 or more."),
        ({"size": "big"}, "size is 'big'; expected a whole number."),
        ({"style_scale": 0}, "style_scale is 0; expected more than 0."),
        ({"colors": "grey"}, "colors is 'grey'; expected 'style', 'luminance' or 'match'."),
        ({"content_weight": float("nan")}, "content_weight is nan; expected a finite number."),
        ({"stepz": 3}, "'stepz' is not the name of an option. Did you mean 'steps'?"),
        (
            {"style_layers": "relu1_1:x"},
            "layers are 'relu1_1:x'; expected names with weights like relu1_1:1,relu2_1:0.5.",
        ),
        ({"content_layers": {}}, "content_layers are {}; expected one or more names with weights of 0 or more."),
        (
            {"style_layers": "relu1_1:-1"},
            "style_layers are {'relu1_1': -1.0}; expected one or more names with weights of 0 or more.",
        ),
        (
            {"style_layers": "relu1_1", "motifs": 0.5},
            "style_layers and motifs are both given; expected one of them, since motifs chooses layers.",
        ),
        ({"motifs": 1.5}, "motifs is 1.5; expected 1 or less."),
        (
            {"style_crop": "0.5,0,0.6,1"},
            "style_crop is '0.5,0,0.6,1'; expected auto, none, or left,top,width,height as fractions, like "
            "0.1,0.05,0.8,0.9.",
        ),
        ({"style_weights": (1, -1)}, "style_weights are (1.0, -1.0); expected 0 or more each, not all 0."),
        (
            {"content_weight": 0, "style_weight": 0},
            "content_weight and style_weight are both 0; expected at least one above 0.",
        ),
        ({"style_weights": "1,2"}, "style_weights is '1,2'; expected a list, as [1, 2] or ['a', 'b']."),
        ({"device": "gpu"}, "device is 'gpu'; expected auto, cpu, cuda, cuda:1 or mps."),
    ],
)
def test_a_wrong_setting_is_one_sentence(settings, sentence):
    with pytest.raises(OptionError) as error:
        StylizeOptions(**settings)
    assert str(error.value) == sentence


def test_a_crop_is_read_from_text_and_numbers():
    assert StylizeOptions(style_crop=(0.1, 0, 0.5, 1)).style_crop == "0.1,0,0.5,1"
    assert read_box("0.1, 0, 0.5,1") == (0.1, 0, 0.5, 1)
    with pytest.raises(ValueError, match="expected left,top,width,height as fractions"):
        read_box("1,2,3")


def test_layers_are_read_from_text_lists_and_tables():
    assert StylizeOptions(style_layers="relu1_1:2,relu2_1:0.5").style_layers == {"relu1_1": 2, "relu2_1": 0.5}
    assert StylizeOptions(style_layers=["relu1_1", "relu2_1"]).style_layers == {"relu1_1": 0.5, "relu2_1": 0.5}
    assert StylizeOptions(style_layers={"conv1_1": 3}).style_layers == {"conv1_1": 3}


# --- motifs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("motifs", "weights"),
    [
        (0, (0.29, 0.29, 0.29, 0.13)),
        (0.5, (0.2675, 0.2675, 0.2675, 0.1475, 0.05)),
        (1, (0.2, 0.2, 0.2, 0.2, 0.2)),
    ],
)
def test_motifs_choose_the_weights_of_the_style_layers(motifs, weights):
    layers = StylizeOptions(motifs=motifs).layers_of_style
    assert list(layers) == [f"relu{block + 1}_1" for block in range(len(weights))]
    assert tuple(layers.values()) == pytest.approx(weights, rel=1e-12)
    assert sum(layers.values()) == pytest.approx(1)


def test_motifs_of_1_are_the_layers_of_the_paper_to_the_last_bit():
    layers = {f"relu{block}_1": 0.2 for block in (1, 2, 3, 4, 5)}
    assert StylizeOptions(motifs=1).layers_of_style == layers == StylizeOptions(style_layers=layers).layers_of_style


def test_presets_of_papers_keep_their_layers_and_the_whole_style_image():
    for name in PRESETS.keys() - {"default"}:
        options = StylizeOptions.preset(name)
        assert options.layers_of_style == PRESETS[name]["style_layers"]
        assert (options.content_focus, options.style_crop) == (0, "none")
        with pytest.raises(OptionError, match="style_layers and motifs are both given"):
            StylizeOptions.preset(name, motifs=0.5)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    options = StylizeOptions.preset(name)
    assert StylizeOptions(**json.loads(options.model_dump_json())) == options


def test_presets_take_settings_and_refuse_unknown_names():
    assert StylizeOptions.preset("gatys", size=300).size == 300
    with pytest.raises(UnknownName, match="'gaty' is not the name of a preset. Did you mean 'gatys'?"):
        StylizeOptions.preset("gaty")


def test_good_is_what_fields_say_and_qualities_replace_one_another():
    for name, settings in QUALITIES.items():
        assert settings.keys() == QUALITIES["good"].keys(), name
        assert StylizeOptions.preset("default", name, size=300) == StylizeOptions(**settings, size=300)
        back = StylizeOptions(**settings).changed(**quality_settings("good"))
        assert back == StylizeOptions(), name
    assert len({json.dumps(settings) for settings in QUALITIES.values()}) == len(QUALITIES)


def test_a_quality_is_known_and_not_for_papers():
    with pytest.raises(UnknownName, match="'god' is not the name of a quality. Did you mean 'good'?"):
        StylizeOptions.preset("default", "god")
    with pytest.raises(OptionError, match="the preset gatys decides its quality itself; leave out quality draft"):
        StylizeOptions.preset("gatys", "draft")


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"default"}))
def test_papers_look_with_vgg_alone(name):
    options = StylizeOptions.preset(name)
    assert (options.encoder, options.polish) == ("vgg19", 0)


def test_changed_validates():
    with pytest.raises(OptionError):
        StylizeOptions().changed(steps=-1)
    assert StylizeOptions().changed(steps=7).steps == 7


def test_options_cannot_be_changed_in_place():
    with pytest.raises(Exception, match="frozen"):
        StylizeOptions().steps = 3


def test_scales_by_hand():
    options = StylizeOptions(size=512, min_size=128, scale_factor=2, steps=60, step_decay=0.5)
    assert options.scales(768, 1024) == ((96, 128, 60), (192, 256, 30), (384, 512, 15))
    assert options.changed(min_size=512).scales(100, 50) == ((512, 256, 60),)
    assert options.changed(size=100).scales(50, 100) == ((50, 100, 60),)  # smaller than min_size: one scale
    assert options.changed(steps=1).scales(512, 512)[-1] == (512, 512, 1)  # never no step


def test_every_field_says_what_it_is():
    for name, field in StylizeOptions.model_fields.items():
        assert field.description, name


@pytest.mark.parametrize("options", [AutoencoderOptions, GANOptions, CycleGANOptions, JohnsonOptions])
def test_every_method_has_a_default_preset(options):
    assert options.preset("default") == options()
    assert options.preset("default", seed=5).seed == 5


def test_help_lists_the_options_of_a_method_before_those_that_it_shares():
    names = list(GANOptions.own_first())
    assert names[:4] == ["hidden", "discriminator_hidden", "activation", "fourier"]
    assert names.index("r1_weight") < names.index("latent") < names.index("steps") < names.index("seed")
    assert sorted(names) == sorted(GANOptions.model_fields)
    assert all(GANOptions.own_first()[name] is GANOptions.model_fields[name] for name in names)
    assert list(StylizeOptions.own_first()) == list(StylizeOptions.model_fields)


def test_the_options_of_trainings_are_described():
    for options in (AutoencoderOptions, GANOptions, CycleGANOptions, JohnsonOptions):
        for name, field in options.model_fields.items():
            assert field.description and not field.description.endswith("."), name


def test_a_field_is_common_where_a_parent_declares_it_so():
    common = AutoencoderOptions.common()  # redefines `steps`, adds `noise`
    assert {"steps", "budget", "batch", "noise", "latent", "network"} <= common
    assert not {"ema", "warmup", "hidden", "seed"} & common
    assert "size" in StylizeOptions.common() and "history" not in StylizeOptions.common()
