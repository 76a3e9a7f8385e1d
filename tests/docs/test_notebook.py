"""A new user in a notebook: train a VAE of one's own on a Dataset of one's own, in a real kernel."""

import json
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NETWORK = """
import torch
from torch import nn

class MyVAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Linear(64, 8), nn.Linear(4, 64)
    def encode(self, images):
        return self.down(images.flatten(1)).chunk(2, 1)
    def decode(self, latents):
        return self.up(latents).sigmoid().view(-1, 1, 8, 8)

images = torch.rand(64, 1, 8, 8).round()
dataset = torch.utils.data.TensorDataset(images, torch.arange(64) % 2)
"""
LINES = [  # what a user types; the network and the Dataset are theirs
    "import impasto",
    "model = impasto.train('vae', dataset, network=MyVAE(), run='mine', steps=40, device='cpu')",
    "model",
    "latents = model.encode(images[:3]); print(tuple(latents.shape), model.latent_size)",
    "print(tuple(model.decode(latents).shape))",
    "model.show('grid')",
    "model.save('mine.safetensors')",
    "again = impasto.load('mine.safetensors', network=MyVAE())",
    "print(bool((again.decode(latents) == model.decode(latents)).all()))",
    "found = impasto.evaluate(model, dataset, count=10, classifier_steps=20); found",
]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    cells = [nbformat.v4.new_code_cell(source) for source in (NETWORK, *LINES)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    assert Path(folder, "mine", "model.safetensors").is_file()
    return {line: cell.outputs for line, cell in zip(LINES, notebook.cells[1:], strict=True)}


def text(outputs):
    return "".join(out.get("text", "") for out in outputs if out.output_type == "stream" and out.name == "stdout")


def test_it_takes_ten_lines():
    assert len(LINES) <= 10


def test_a_bar_and_previews_are_shown(outputs):
    (shown,) = [out for out in outputs[LINES[1]] if out.output_type == "display_data"]
    html = shown["data"]["text/html"]
    assert "<progress value='1.000'" in html and "data:image/jpeg;base64," in html
    assert "0 s" in html or " s" in html


def test_latent_codes_images_and_files_come_back(outputs):
    assert text(outputs[LINES[3]]) == "(3, 4) 4\n"
    assert text(outputs[LINES[4]]) == "(3, 1, 8, 8)\n"
    assert text(outputs[LINES[8]]) == "True\n"


@pytest.mark.parametrize(("line", "part"), [(2, "latent size"), (9, "Fréchet")])
def test_results_read_well(outputs, line, part):
    (shown,) = [out for out in outputs[LINES[line]] if out.output_type == "execute_result"]
    assert part in shown["data"]["text/html"] and "<table" in shown["data"]["text/html"]


def test_pictures_are_shown_inline(outputs):
    (shown,) = [out for out in outputs[LINES[5]] if out.output_type == "execute_result"]
    assert "image/png" in shown["data"]
    assert json.dumps(shown["metadata"]) is not None
