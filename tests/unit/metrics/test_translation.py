"""Measures of translation, by hand and beside the trivial baselines."""

import numpy as np
import pytest
import torch

from impasto.checkpoints.classifier import load_classifier
from impasto.checkpoints.files import load_state
from impasto.errors import ImageError, OptionError
from impasto.events import Step
from impasto.metrics.classifier import classify
from impasto.metrics.frechet import frechet_distance
from impasto.metrics.translation import (
    baselines,
    compare_pairs,
    compare_translations,
    measure_pairs,
    measure_translation,
    psnr,
    structure_distance,
    translation_score,
    unrelated_structure,
)
from impasto.ops.color_transfer import reinhard
from impasto.recipes.classifier.train_beside import train_domain_classifier
from nets import picture

OPTIONS = {"steps": 60, "device": "cpu", "batch": 16, "shift": 1}


def scenes(count, seed=0):
    return torch.cat([picture(16, 16, seed + index) for index in range(count)])


def red(pictures):
    """What B is: the same scenes in red light."""
    return pictures * torch.tensor([1.0, 0.3, 0.3]).view(1, 3, 1, 1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("classifier") / "classifier.safetensors"
    held = scenes(20, 300), red(scenes(20, 300))
    told = list(train_domain_classifier(scenes(40), red(scenes(40, 100)), held, path=path, **OPTIONS))
    assert [(event.step, event.steps) for event in told if isinstance(event, Step) and event.phase == "fit"] == [
        (n, 60) for n in range(12, 61, 12)
    ]
    return load_classifier(path), load_state(path)[1]


def test_psnr_by_hand():
    a = torch.full((2, 3, 4, 4), 0.5)
    b = a.clone()
    b[0] += 0.1
    assert psnr(a, b).tolist() == pytest.approx([20.0, 100.0], abs=1e-4)


def test_structure_is_where_edges_are():
    a = scenes(4)
    for same in (a, 1 - a, 0.2 + 0.4 * a):
        torch.testing.assert_close(structure_distance(same, a), torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-6)
    shuffled = a.flatten(2)[:, :, torch.randperm(256, generator=torch.Generator().manual_seed(0))].view_as(a)
    assert (structure_distance(shuffled, a) - 1).abs().max() < 0.3
    assert torch.equal(structure_distance(torch.zeros_like(a), a), torch.ones(4, dtype=torch.float64))
    # by hand: a step across and one down, on 3 x 3: slopes at four positions
    across, down = torch.zeros(1, 3, 3, 3), torch.zeros(1, 3, 3, 3)
    across[..., 2], down[..., 2, :] = 1, 1
    first, second = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    wanted = 1 - np.corrcoef(first, second)[0, 1]
    assert structure_distance(across, down).item() == pytest.approx(wanted, abs=1e-6)


def test_colors_move_as_reinhard_says():
    source, wanted = 0.3 + 0.4 * scenes(2), 0.35 + 0.3 * red(scenes(3, 50))
    found = reinhard(source, wanted)

    def opponent(pictures):  # the paper's two matrices, written as its equations are
        r, g, b = pictures.double().numpy().transpose(1, 0, 2, 3)
        l, m, s = (  # noqa: E741
            np.log10(x * r + y * g + z * b)
            for x, y, z in ((0.3811, 0.5783, 0.0402), (0.1967, 0.7244, 0.0782), (0.0241, 0.1288, 0.8444))
        )
        return np.stack([(l + m + s) / np.sqrt(3), (l + m - 2 * s) / np.sqrt(6), (l - m) / np.sqrt(2)])

    inside = (found > 0) & (found < 1)
    assert inside.double().mean() > 0.99  # else clamping would change what is compared
    theirs = opponent(wanted)
    for index in range(2):
        ours = opponent(found[index : index + 1])
        np.testing.assert_allclose(ours.mean((1, 2, 3)), theirs.mean((1, 2, 3)), atol=2e-3)
        np.testing.assert_allclose(ours.std((1, 2, 3)), theirs.std((1, 2, 3)), atol=3e-3)
    torch.testing.assert_close(reinhard(source[:1], source[:1]), source[:1], rtol=0, atol=1e-3)


def test_a_classifier_learns_the_two_domains(trained):
    classifier, told = trained
    right = [
        (classify(classifier, red(scenes(20, 300))).labels == 1),
        (classify(classifier, scenes(20, 300)).labels == 0),
    ]
    assert min(some.double().mean() for some in right) >= 0.9
    assert told["accuracy"] == pytest.approx(float(torch.cat(right).double().mean())) and told["held"] == 40


def test_measures_of_the_truth_and_of_the_baselines(trained):
    classifier, _ = trained
    source, wanted = scenes(90, 500), red(scenes(80, 700))
    truth = red(source)
    bleak = torch.full_like(source, 0.5)
    found = compare_translations(
        {"truth": truth, "bleak": bleak}, source, wanted, classifier, truth=truth, cycle={"truth": source}
    )
    assert list(found) == ["identity", "color transfer", "truth", "bleak"]
    best = found["truth"]
    assert best.accuracy >= 0.9 and best.psnr == pytest.approx(100) and best.cycle_psnr == pytest.approx(100)
    assert best.cycle_ssim == pytest.approx(1, abs=1e-5) and best.structure < 0.4 and best.pictures == 90
    same = found["identity"]
    assert same.accuracy <= 0.1 and same.structure == pytest.approx(0, abs=1e-6) and same.cycle_psnr is None
    assert same.psnr == pytest.approx(float((-10 * (source - truth).square().mean((1, 2, 3)).log10()).mean()), rel=1e-4)
    assert found["color transfer"].psnr > same.psnr and found["color transfer"].frechet < same.frechet
    assert found["bleak"].structure == 1
    assert best.frechet < 0.3 * same.frechet
    fake, real = classify(classifier, truth).features, classify(classifier, wanted).features
    assert best.frechet == pytest.approx(frechet_distance(real, fake))
    assert set(best.as_dict()) >= {"accuracy", "frechet", "kept"} and best.kept is None


def test_labels_are_those_that_were_kept(trained):
    classifier, _ = trained
    source = scenes(10)
    labels = torch.tensor([1] * 7 + [0] * 3)
    found = measure_translation(red(source), source, red(scenes(8, 50)), classifier, labels=(classifier, labels))
    found_labels = classify(classifier, red(source)).labels
    assert found.kept == pytest.approx(float((found_labels == labels).double().mean()))


def test_what_does_not_fit_is_refused(trained, tmp_path):
    source = scenes(4)
    with pytest.raises(ImageError, match=r"truth is \(3, 3, 16, 16\); expected \(4, 3, 16, 16\)"):
        measure_translation(source, source, source, trained[0], truth=source[:3])
    held = source, source
    with pytest.raises(ImageError, match="expected the same size"):
        train_domain_classifier(source, picture(8, 8), held, path=tmp_path / "a", **OPTIONS)
    with pytest.raises(ImageError, match="expected the same size"):
        train_domain_classifier(source, source, (source, picture(8, 8)), path=tmp_path / "a", **OPTIONS)
    with pytest.raises(OptionError, match="there are 4 and 40 images; expected 5 or more"):
        train_domain_classifier(source, scenes(40), held, path=tmp_path / "a", **OPTIONS)
    with pytest.raises(ImageError, match=r"images are \(4, 3, 16, 16\); expected \(3, 3, 16, 16\), as the truth"):
        measure_pairs(source, source[:3])
    assert list(baselines(source, source)) == ["identity", "color transfer"]


def test_the_other_direction_is_measured_against_the_other_domain(trained):
    classifier, _ = trained
    source, wanted = red(scenes(30, 500)), scenes(30, 700)
    found = compare_translations({"truth": scenes(30, 500)}, source, wanted, classifier, target_label=0)
    assert found["truth"].accuracy >= 0.9 and found["identity"].accuracy <= 0.1
    assert found["truth"].frechet < 0.3 * found["identity"].frechet


def test_images_larger_than_the_classifier_are_resized(trained):
    classifier, _ = trained
    source, wanted = scenes(30, 500), red(scenes(30, 700))
    large = [torch.nn.functional.interpolate(some, scale_factor=2, mode="bilinear") for some in (source, wanted)]
    small = measure_translation(red(source), source, wanted, classifier)
    found = measure_translation(red(large[0]), large[0], large[1], classifier)
    assert found.accuracy == pytest.approx(small.accuracy, abs=0.1) and found.frechet == pytest.approx(
        small.frechet, rel=0.4
    )


def test_neither_way_to_cheat_pays(trained):
    """The declared score: doing nothing gets 1, and so does what has nothing to do with the picture."""
    classifier, _ = trained
    source, wanted = scenes(60, 500), red(scenes(60, 700))
    random = torch.Generator().manual_seed(0)
    fakes = {
        "truth": red(source),
        "half": (source + red(source)) / 2,
        "others": red(scenes(60, 900)),
        "one": red(scenes(1, 900)).expand_as(source),
        "noise": torch.rand(source.shape, generator=random),
    }
    found = compare_translations(fakes, source, wanted, classifier)
    same = found["identity"]
    unrelated = unrelated_structure(source, wanted)
    scores = {name: translation_score(one, same, unrelated) for name, one in found.items()}
    assert scores["identity"] == pytest.approx(1, abs=1e-6)
    assert scores["truth"] < 0.5 and scores["half"] < 0.5
    assert min(scores[name] for name in ("others", "one", "noise")) > 0.9
    half = found["half"]
    assert scores["half"] == pytest.approx(half.frechet / same.frechet + half.structure / unrelated)


def test_unrelated_structure_leaves_out_images_of_the_same():
    source = scenes(6)
    pairs = [
        structure_distance(source[i : i + 1], red(source)[j : j + 1]) for i in range(6) for j in range(6) if i != j
    ]
    assert unrelated_structure(source, red(source)) == pytest.approx(float(torch.cat(pairs).mean()))
    assert unrelated_structure(source, red(source[:2])) > 0.3


def test_pairs_are_measured_against_the_truth_by_hand():
    source = torch.tensor([0.2, 0.4]).view(2, 1, 1, 1).expand(2, 3, 12, 12)
    truth = torch.tensor([0.3, 0.7]).view(2, 1, 1, 1).expand(2, 3, 12, 12).clone()
    truth[1, 0] = 0.1  # one channel of one picture
    found = compare_pairs({"half": (source + truth) / 2}, source, truth)
    assert list(found) == ["identity", "median color", "color transfer", "half"]
    assert found["identity"].l1 == pytest.approx((3 * 0.1 + 2 * 0.3 + 0.3) / 6)
    assert found["half"].l1 == pytest.approx(found["identity"].l1 / 2)
    assert found["half"].psnr == pytest.approx(found["identity"].psnr + 20 * np.log10(2), abs=1e-4)
    # of two values each lies at the same mean distance, so any between them is a median: (0.2 + 0.4 + 0.4) / 2 / 3
    assert found["median color"].l1 == pytest.approx((0.2 / 2 + 0.4 / 2 + 0.4 / 2) / 3)
    exact = measure_pairs(truth, truth)
    assert (exact.l1, exact.psnr, exact.pictures) == (0, pytest.approx(100), 2) and exact.ssim == pytest.approx(1)
