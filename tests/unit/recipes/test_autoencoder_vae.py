"""Autoencoders and variational autoencoders: losses by hand, training, resume, and the command line."""

import json
import math
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from impasto.checkpoints.files import CHECKPOINT, MODEL, load_state
from impasto.cli.main import main
from impasto.data.arrays import Sets, small_set
from impasto.errors import OptionError, WeightsError
from impasto.events import Note, Started, Step
from impasto.inference.load import load_generator
from impasto.losses.likelihood import active_units, bernoulli_entropy, bernoulli_nats, gaussian_kl
from impasto.networks.autoencoder import VAE, Autoencoder
from impasto.networks.johnson import Johnson
from impasto.ops.linear_algebra import principal_components
from impasto.ops.pixels import noisy
from impasto.recipes.autoencoder.options import AutoencoderOptions
from impasto.recipes.autoencoder.recipe import pca_mse
from impasto.recipes.vae.options import VAEOptions
from impasto.recipes.vae.recipe import VAERecipe, importance_bound, reparametrize
from nets import written
from trainings import iter_autoencoder, iter_vae

QUICK = {
    "batch": 16,
    "device": "cpu",
    "precision": "float32",
    "hidden": (24,),
    "ema": 0.9,
    "save_seconds": 1e9,
    "preview_seconds": 1e9,
}


def bars(count, seed, side=12):
    """Soft bright bars on black, at random positions and angles."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    angle, offset = random.uniform(0, np.pi, (count, 1, 1)), random.uniform(-2, 2, (count, 1, 1))
    away = np.abs(np.cos(angle) * x + np.sin(angle) * y - offset)
    return (255 * np.clip(2 - away, 0, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def sets():
    return Sets(small_set(bars(160, 0)), small_set(bars(40, 1)))


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def steps(events):
    return [event for event in events if isinstance(event, Step) and event.phase == "train"]


def mean(told, name):
    return sum(event.losses[name] for event in told) / len(told)


def test_notes_on_very_few_pictures(tmp_path):
    few = Sets(small_set(bars(6, 0)), small_set(bars(1, 1)))
    options = AutoencoderOptions(**QUICK, latent=20, steps=1)
    notes = [e.text for e in iter_autoencoder(few, options, run=tmp_path / "run") if isinstance(e, Note)]
    assert " on 1 picture; PCA with the most components, 6: " in notes[0]
    events = iter_vae(few, VAEOptions(**QUICK, steps=1), run=tmp_path / "vae")
    assert " on 1 picture; gray targets" in " ".join(e.text for e in events if isinstance(e, Note))


# --- losses by hand ------------------------------------------------------------------------------


def test_kl_by_hand():
    """N(1, 1) and N(2, 4) from N(0, 1): (1 + 1 - 1 - 0) / 2 and (4 + 4 - 1 - log 4) / 2; of N(0, 1) itself, 0."""
    mu = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    logvar = torch.tensor([[0.0, math.log(4)], [0.0, 0.0]])
    wanted = [0.5 + (7 - math.log(4)) / 2, 0.0]
    torch.testing.assert_close(gaussian_kl(mu, logvar), torch.tensor(wanted))


def test_nats_and_the_entropy_of_targets_by_hand():
    """Probabilities 1/2 and 3/4; targets 1, 1 and 1/2, 0."""
    logits = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)]]).view(2, 1, 1, 2)
    targets = torch.tensor([[1.0, 1.0], [0.5, 0.0]]).view(2, 1, 1, 2)
    wanted = [math.log(2) - math.log(0.75), math.log(2) - math.log(0.25)]
    torch.testing.assert_close(bernoulli_nats(logits, targets), torch.tensor(wanted))
    torch.testing.assert_close(bernoulli_entropy(targets), torch.tensor([0.0, math.log(2)]))


def test_reparametrization_by_hand_and_its_gradient():
    mu, logvar = torch.tensor([1.0], requires_grad=True), torch.tensor([math.log(4)], requires_grad=True)
    draw = reparametrize(mu, logvar, torch.tensor([-3.0]))
    draw.backward()
    assert draw.item() == pytest.approx(1 - 3 * 2)
    assert mu.grad.item() == 1 and logvar.grad.item() == pytest.approx(-3 * 2 / 2)


def test_active_units_are_those_whose_mean_varies():
    means = torch.tensor([[0.0, 5.0, 0.1, 3.0], [0.0, 5.05, -0.3, 3.0]])  # variances 0, 0.00125, 0.08 and 0
    assert active_units(means).tolist() == [False, False, True, False]
    assert not active_units(means[:1]).any()


@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 19, 20)])  # of the second, rows are wider than 1024
def test_pca_against_a_singular_value_decomposition(shape):
    random = np.random.default_rng(0)
    factors = random.normal(0, 40, (90, 6)) * 0.8 ** np.arange(6)
    values = factors @ random.normal(0, 1, (6, math.prod(shape))) + random.normal(128, 5, (90, math.prod(shape)))
    data = values.clip(0, 255).astype(np.uint8).reshape(90, *shape)
    train, test = data[:60], data[60:]
    flat = train.reshape(60, -1).astype(np.float64) / 255
    tested = test.reshape(30, -1).astype(np.float64) / 255
    directions = np.linalg.svd(flat - flat.mean(0), full_matrices=False)[2][:4]
    centered = tested - flat.mean(0)
    wanted = np.square(centered - centered @ directions.T @ directions).mean()
    given = torch.from_numpy(test).float() / 255
    pca = principal_components(torch.from_numpy(train).flatten(1), 4)
    assert pca_mse(pca, given, given) == pytest.approx(wanted, rel=1e-4)
    most = min(60, math.prod(shape))  # at most the number of pictures, or of pixels
    assert principal_components(torch.from_numpy(flat), 2000)[1].shape == (most, math.prod(shape))


def test_noise_is_clipped():
    pictures, noise = torch.tensor([0.0, 0.5, 1.0]), torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(noisy(pictures, noise, 0.3), torch.tensor([0.0, 0.8, 1.0]))


def test_the_weight_of_the_kl_rises():
    method = VAERecipe(VAE((1, 4, 4)), torch.zeros(1, 1, 4, 4), VAEOptions(beta=2, kl_warmup=0.1))
    assert [method.weight(progress) for progress in (0, 0.05, 0.1, 0.7)] == pytest.approx([0, 1, 2, 2])
    assert VAERecipe(method.network, method.test, VAEOptions(kl_warmup=0)).weight(0.0) == 1


def linear_vae():
    """Two pixels, a latent code of size 1: mean 2 x - y + 0.1, log-variance x - 1; logits 1.5 z - 0.2 and 0.7 - z."""
    network = VAE((1, 1, 2), latent=1)
    to, back = nn.Linear(2, 2), nn.Linear(1, 2)
    to.weight.data, to.bias.data = torch.tensor([[2.0, -1.0], [1.0, 0.0]]), torch.tensor([0.1, -1.0])
    back.weight.data, back.bias.data = torch.tensor([[1.5], [-1.0]]), torch.tensor([-0.2, 0.7])
    network.encoder = nn.Sequential(nn.Flatten(), to)
    network.decoder = nn.Sequential(back, nn.Unflatten(1, (1, 1, 2)))
    return network


def log_likelihood(z, x):
    """Of two pixels given a latent code, in float64."""
    probabilities = 1 / (1 + np.exp(-np.stack([1.5 * z - 0.2, 0.7 - z], -1)))
    return (x * np.log(probabilities) + (1 - x) * np.log(1 - probabilities)).sum(-1)


def test_the_bound_of_a_linear_model_in_float64():
    bytes_ = torch.tensor([[255, 0], [51, 102], [0, 255]], dtype=torch.uint8).view(3, 1, 1, 2)
    found = VAERecipe(linear_vae(), bytes_, VAEOptions(importance_samples=0)).measured()
    x = bytes_.view(3, 2).double().numpy() / 255
    mu, logvar = 2 * x[:, 0] - x[:, 1] + 0.1, x[:, 0] - 1
    noise = torch.randn(3, 1, generator=torch.Generator().manual_seed(0))[:, 0].double().numpy()
    reconstruction = -log_likelihood(mu + noise * np.exp(logvar / 2), x).mean()
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).mean()
    assert found["reconstruction"] == pytest.approx(reconstruction, rel=1e-5)
    assert found["kl"] == pytest.approx(kl, rel=1e-5)
    assert found["negative_elbo"] == pytest.approx(reconstruction + kl, rel=1e-5)
    entropy = -sum(p * math.log(p) + (1 - p) * math.log(1 - p) for p in (0.2, 0.4))
    assert found["target_entropy"] == pytest.approx(entropy / 3, rel=1e-5)
    assert found["targets"] == "gray" and "log_likelihood" not in found


def test_importance_sampling_finds_the_likelihood():
    """Beside the integral over the latent code, on a fine grid."""
    x = np.array([[1.0, 0.0], [0.0, 1.0]])
    z = np.linspace(-9, 9, 20001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    wanted = [math.log((np.exp(log_likelihood(z, row)) * density).sum() * (z[1] - z[0])) for row in x]
    pictures = torch.from_numpy(x).float().view(2, 1, 1, 2)
    found = importance_bound(linear_vae(), pictures, 40_000, torch.Generator().manual_seed(1))
    assert found.tolist() == pytest.approx(wanted, abs=0.02)
    few = importance_bound(linear_vae(), pictures[:1].repeat(4000, 1, 1, 1), 1, torch.Generator().manual_seed(1))
    assert few.mean().item() < wanted[0]  # one sample: the ELBO, which is below


# --- networks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dense", "conv"])
@pytest.mark.parametrize("network", [Autoencoder, VAE])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 8)])
def test_networks_reconstruct_pictures_and_can_be_built_again(network, kind, shape):
    built = network(shape, 5, kind, (12,), 4)
    pictures = torch.rand(3, *shape)
    out = built(pictures)
    assert out.shape == pictures.shape and out.min() >= 0 and out.max() <= 1
    codes = built.encode(pictures)
    for code in codes if network is VAE else [codes]:
        assert code.shape == (3, 5)
    assert torch.equal(built.logits(torch.zeros(2, 5)).sigmoid(), built.decode(torch.zeros(2, 5)))
    again = network(**json.loads(json.dumps(built.settings)))
    again.load_state_dict(built.state_dict())
    assert torch.equal(again(pictures), out)


def test_pictures_are_independent_of_each_other():
    network, pictures = Autoencoder((1, 8, 8), 3, "conv", (6,), 4), torch.rand(4, 1, 8, 8)
    torch.testing.assert_close(network(pictures)[2:3], network(pictures[2:3]))


def test_bad_settings_of_networks_are_refused():
    with pytest.raises(OptionError, match="pictures are 30×30; a convolutional network needs .* use --crop 32"):
        Autoencoder((1, 30, 30), kind="conv")
    with pytest.raises(OptionError, match="network is 'deep'; expected dense or conv"):
        VAE(kind="deep")
    with pytest.raises(OptionError, match="latent 0, width 32; expected 1 or more each"):
        VAE(latent=0)


# --- options -------------------------------------------------------------------------------------


def test_epochs_become_steps_unless_something_else_decides():
    assert VAEOptions().planned(4000).steps == 1875  # 60 * 4000 / 128
    assert VAEOptions(epochs=0.5, batch=7).planned(100).steps == 8  # 50 / 7, rounded up
    assert VAEOptions(steps=3).planned(4000).steps == 3
    assert VAEOptions().changed(steps=3).planned(4000).steps == 3
    assert VAEOptions().changed(seed=3).planned(4000).steps == 1875
    assert VAEOptions(budget="1m").planned(4000).epochs is None
    planned = AutoencoderOptions().planned(10)
    assert AutoencoderOptions(**json.loads(planned.model_dump_json())) == planned
    with pytest.raises(OptionError, match="crop is 2; expected 0, or 4 or more"):
        VAEOptions(crop=2)
    with pytest.raises(OptionError, match="hidden"):
        VAEOptions(hidden=(0,))


# --- training ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "name"),
    [({}, "mse"), ({"loss": "bce"}, "bce"), ({"network": "conv", "width": 4}, "mse"), ({"noise": 0.3}, "mse")],
)
def test_an_autoencoder_learns_and_tells_how_well(sets, tmp_path, settings, name):
    options = AutoencoderOptions(**QUICK, latent=4, epochs=30, learning_rate=1e-2, **settings)
    events = list(iter_autoencoder(sets, options, run=tmp_path / "run"))
    told = steps(events)
    assert len(told) == 300 and set(told[0].losses) == {name}
    assert mean(told[-20:], name) < (0.75 if name == "bce" else 0.45) * mean(told[:10], name)
    found = load_state(tmp_path / "run" / MODEL)[1]["results"]
    network = load_generator(tmp_path / "run").network
    test = sets.test.images.float() / 255
    assert found["mse"] == pytest.approx(float((network(test) - test).square().mean()), rel=1e-4)
    assert found["test_pictures"] == 40 and found["latent"] == 4
    train = sets.train.images.flatten(1).double().numpy() / 255
    directions = np.linalg.svd(train - train.mean(0), full_matrices=False)[2][:4]
    rest = test.flatten(1).double().numpy() - train.mean(0)
    assert found["pca_mse"] == pytest.approx(np.square(rest - rest @ directions.T @ directions).mean(), rel=1e-4)
    assert found["mse"] < found["pca_mse"]  # two latent dimensions are enough, but not for a linear map
    notes = [event.text for event in events if isinstance(event, Note)]
    assert notes[0].startswith(f"test MSE {found['mse']:.4f} on 40 pictures; PCA with the same latent size, 4: ")
    assert found["pca_components"] == 4
    if settings.get("noise"):
        noise = torch.randn(test.shape, generator=torch.Generator().manual_seed(0)).flatten(1).double().numpy()
        clean = test.flatten(1).double().numpy()
        given = np.clip(clean + 0.3 * noise, 0, 1)
        through = (given - train.mean(0)) @ directions.T @ directions + train.mean(0)
        assert found["noisy_mse"] == pytest.approx(np.square(given - clean).mean(), rel=1e-4)
        assert found["pca_denoised_mse"] == pytest.approx(np.square(through - clean).mean(), rel=1e-4)
        assert found["denoised_mse"] < 0.7 * found["noisy_mse"]
        assert "noise of 0.3: MSE " in notes[1]
    assert ("bce" in found) == (name == "bce")


@pytest.mark.parametrize("targets", ["gray", "dynamic", "static"])
def test_a_vae_learns_and_tells_how_well(sets, tmp_path, targets):
    options = VAEOptions(
        **QUICK, latent=4, epochs=25, learning_rate=1e-2, targets=targets, importance_samples=20,
    )  # fmt: skip
    events = list(iter_vae(sets, options, run=tmp_path / "run"))
    told = steps(events)
    assert set(told[0].losses) == {"reconstruction", "kl"}
    assert mean(told[-20:], "reconstruction") < 0.75 * mean(told[:10], "reconstruction")
    assert mean(told[-20:], "kl") > 1  # the latent codes carry information
    found = load_state(tmp_path / "run" / MODEL)[1]["results"]
    assert found["negative_elbo"] == pytest.approx(found["reconstruction"] + found["kl"])
    assert -found["log_likelihood"] < found["negative_elbo"]
    assert (found["targets"], found["importance_samples"], found["likelihood_pictures"]) == (targets, 20, 40)
    assert (found["target_entropy"] > 1) == (targets == "gray")
    assert 1 <= found["active_units"] <= 4
    notes = [event.text for event in events if isinstance(event, Note)]
    assert f"test -ELBO {found['negative_elbo']:.2f} nats" in notes[0] and f"{targets} targets" in notes[0]
    assert notes[1].startswith("importance-weighted bound" if targets == "gray" else "log-likelihood")
    assert notes[2] == f"{found['active_units']} of 4 latent dimensions are active"
    assert isinstance(events[-1].image, torch.Tensor) and events[-1].image.ndim == 4


def test_a_large_beta_lowers_kl_and_raises_reconstruction(sets, tmp_path):
    told = {}
    for beta in (0.1, 10):
        options = VAEOptions(**QUICK, latent=4, epochs=10, learning_rate=1e-2, beta=beta, importance_samples=0)
        list(iter_vae(sets, options, run=tmp_path / str(beta)))
        told[beta] = load_state(tmp_path / str(beta) / MODEL)[1]["results"]
    assert told[10]["kl"] < 0.5 * told[0.1]["kl"]
    assert told[10]["reconstruction"] > told[0.1]["reconstruction"]


# --- resume --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "options"),
    [
        (iter_autoencoder, AutoencoderOptions(**QUICK, steps=14, noise=0.2)),
        (iter_vae, VAEOptions(**QUICK, steps=14, targets="dynamic", importance_samples=3)),
    ],
)
def test_a_closed_run_resumes_to_the_same_bits(sets, tmp_path, train, options):
    list(train(sets, options, run=tmp_path / "whole"))
    events = train(sets, options, run=tmp_path / "broken")
    next(event for event in events if isinstance(event, Step) and event.phase == "train" and event.step == 5)
    events.close()
    later = list(train(sets, options, run=tmp_path / "broken", resume=True))
    assert isinstance(later[0], Started) and steps(later)[0].step == 6
    assert not [event for event in later if isinstance(event, Note) and "pictures are not" in event.text]
    for name in (CHECKPOINT, MODEL):
        ours, theirs = load_file(tmp_path / "whole" / name), load_file(tmp_path / "broken" / name)
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours), name
    results = [load_state(tmp_path / run / MODEL)[1]["results"] for run in ("whole", "broken")]
    assert results[0] == results[1]


def test_files_of_other_networks_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="does not exist; expected the file or folder of a trained network"):
        load_generator(tmp_path / "none.safetensors")
    from impasto.checkpoints.files import save_state

    written(tmp_path / "a.safetensors", Johnson(4, 0))
    with pytest.raises(WeightsError, match="holds the network 'johnson'; expected one of `impasto train autoencoder`"):
        load_generator(tmp_path / "a.safetensors")
    save_state(tmp_path / "b.safetensors", {"x": torch.zeros(1)}, {"network": "vae", "settings": {"layers": 3}})
    with pytest.raises(WeightsError, match="its settings do not make a network"):
        load_generator(tmp_path / "b.safetensors")


# --- the command line ----------------------------------------------------------------------------


WORDS = ("--steps", "60", "--batch", "8", "--hidden", "16,8", "--latent", "2", "--device", "cpu", "--json",
         "--importance-samples", "4")  # fmt: skip


def test_a_killed_command_resumes_to_the_same_bits(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    np.savez("set.npz", images=bars(60, 0))
    command = [sys.executable, "-m", "impasto", "train", "vae", "set.npz", *WORDS, "--save-seconds", "0"]
    with subprocess.Popen([*command, "-o", "broken"], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if json.loads(line).get("step", 0) >= 20:
                break
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "broken" / MODEL).exists()
    assert main(["train", "vae", "set.npz", *WORDS, "-o", "broken", "--resume"]) == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert events[0]["step"] >= 19 and events[-1]["event"] == "done"
    assert main(["train", "vae", "set.npz", *WORDS, "-o", "whole"]) == 0
    ours, theirs = load_file("whole/model.safetensors"), load_file("broken/model.safetensors")
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_the_command_trains_and_prints_path_and_results(sets, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    np.savez("set.npz", images=bars(20, 0))
    words = ["train", "autoencoder", "set.npz", "--epochs", "1", "--hidden", "8", "--noise", "0.3", "--device", "cpu"]
    assert main(words) == 0
    done = capfd.readouterr()
    assert done.out == "autoencoder-set/model.safetensors\n"
    assert "autoencoder: " in done.err and "test MSE 0." in done.err and "noise of 0.3: MSE 0." in done.err
    assert main([*words, "-o", "autoencoder-set"]) == 2
    assert "autoencoder-set is not empty; --resume goes on" in capfd.readouterr().err
    assert main(words) == 0 and capfd.readouterr().out == "autoencoder-set-2/model.safetensors\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("vae missing.npz", "missing.npz does not exist; expected a folder"),
        ("autoencoder set.npz --loss mae", "loss is 'mae'; expected 'mse' or 'bce'."),
        ("vae set.npz --hidden 12,x", "expected a whole number"),
        ("vae set.npz --network conv --crop 30", "use --crop 32"),
        ("vae set.npz --epochs 0", "epochs is 0; expected more than 0."),
    ],
)
def test_bad_words_are_one_sentence(tmp_path, monkeypatch, capfd, words, sentence):
    monkeypatch.chdir(tmp_path)
    np.savez("set.npz", images=bars(4, 0))
    assert main(["train", *words.split()]) == 2
    said = capfd.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.npz"]


@pytest.mark.parametrize(("command", "options"), [("autoencoder", AutoencoderOptions), ("vae", VAEOptions)])
def test_help_shows_every_setting(monkeypatch, capfd, command, options):
    monkeypatch.setenv("COLUMNS", "500")
    assert main(["train", command, "--help-all"]) == 0
    shown = capfd.readouterr().out
    for name, field in options.model_fields.items():
        assert f"--{name.replace('_', '-')}" in shown and str(field.description)[:40] in shown
