"""Old names in files get their new ones: networks, settings, tensors."""

import subprocess
import sys

import torch

from impasto.checkpoints.files import load_state, read_tensors, save_state
from impasto.checkpoints.upgrade import upgrade_card, upgrade_line, upgrade_tensors
from impasto.networks.multistyle import IDENTITY, MultiStyleNetwork
from impasto.networks.style_predictor import StylePredictor


def test_names_in_cards():
    old = {
        "network": "painter",
        "options": {"row_rate": 5.0, "judge_width": 64, "judge_layers": 3, "film": [1], "usual": 9, "steps": 1},
        "settings": {"width": 4},
    }
    new = upgrade_card(old)
    assert new["network"] == "multistyle" and new["settings"] == {"width": 4}
    assert new["options"] == {
        "embedding_rate": 5.0, "discriminator_width": 64, "discriminator_layers": 3, "progress_epochs": [1],
        "reference_paintings": 9, "steps": 1,
    }  # fmt: skip
    assert upgrade_card(new) == new and old["network"] == "painter"
    predictor = upgrade_card({"network": "predictor", "settings": {"numbers": 6, "width": 4}})
    assert predictor == {"network": "style_predictor", "settings": {"embedding_size": 6, "width": 4}}
    assert upgrade_card({"network": None, "options": None}) == {"network": None, "options": None}


def test_names_in_a_log():
    old = {"step": 1, "losses": {"real": 0.5, "made": 0.25, "fool_a": 1.0}, "measures": {"score_of_as_they_are": 2.0}}
    new = upgrade_line(old)
    assert new["losses"] == {"d_real": 0.5, "d_fake": 0.25, "adversarial_a": 1.0} and new["step"] == 1
    assert new["measures"] == {"score_of_identity": 2.0}
    assert upgrade_line(new) == new and upgrade_line({"step": 1}) == {"step": 1}


def old_names(tensors):
    return {key.replace("embeddings", "rows").replace("embedding_", "row_"): value for key, value in tensors.items()}


def test_tensors_of_files_and_of_checkpoints(tmp_path):
    multi, predictor = MultiStyleNetwork(4, 0, 4, styles=[IDENTITY, "a"]), StylePredictor(6, (4,), 2, 4)
    for network in (multi, predictor):
        state = network.state_dict()
        for prefix in ("", "network/g/", "average/g/"):
            new = {f"{prefix}{key}": value for key, value in state.items()}
            assert list(upgrade_tensors(old_names(new))) == list(new) == list(upgrade_tensors(new))
        save_state(tmp_path / "a.safetensors", old_names(state), {"network": "painter"})
        assert read_tensors(tmp_path / "a.safetensors")[0].keys() == state.keys()
        assert load_state(tmp_path / "a.safetensors")[0].keys() == state.keys()
        again = type(network)(**network.settings)
        again.load_state_dict(old_names(state))  # as a resumed training does
        assert all(torch.equal(again.state_dict()[key], value) for key, value in state.items())
    assert list(upgrade_tensors({"row": torch.zeros(3)})) == ["embedding"]
    unfinished = {"network/row/0": 1, "average/row/0": 2, "optimizer/adam/0/exp_avg": 3}
    assert list(upgrade_tensors(unfinished)) == [
        "network/embedding/0", "average/embedding/0", "optimizer/adam/0/exp_avg"
    ]  # fmt: skip


def test_tensors_of_other_networks_stay():
    other = {"rows": torch.zeros(2), "row": torch.zeros(1), "row_center": torch.zeros(1)}
    assert list(upgrade_tensors(other)) == list(other)


def test_the_catalog_is_read_without_torch():
    code = "import sys; from impasto.checkpoints import catalog; catalog.listed(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
