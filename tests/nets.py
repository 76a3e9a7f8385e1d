"""Small random networks and pictures for the tests: real code, little work."""

import torch
from safetensors.torch import load_file

from impasto.checkpoints.model import Model, architecture_of
from impasto.inference.load import load
from impasto.inference.painter import Painter
from impasto.inference.translator import Translator
from impasto.networks.johnson import Johnson
from impasto.networks.vgg import VGG


def tiny_vgg(seed=0, dtype=torch.float32, padding="zeros", pooling="max"):
    """A VGG-19 with few channels and random weights that keep activations alive."""
    vgg = VGG(
        19, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), channel_order="rgb", scale=1.0, padding=padding,
        pooling=pooling, widths=(8, 12, 16, 16, 16),
    )  # fmt: skip
    random = torch.Generator().manual_seed(seed)
    for parameter in vgg.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 100.0
        parameter.data = torch.randn(parameter.shape, generator=random) * (2 / fan_in) ** 0.5
    return vgg.to(dtype).requires_grad_(False).eval()


def picture(height, width, seed=0, dtype=torch.float32):
    """A smooth colorful picture with edges, (1, 3, H, W) in [0, 1]."""
    random = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    planes = []
    for _ in range(3):
        a, b, c, d = (4 + 8 * torch.rand(4, generator=random)).tolist()
        planes.append(0.5 + 0.25 * torch.sin(a * x + b * y) + 0.2 * torch.sign(torch.sin(c * x * y + d * y)))
    return torch.stack(planes)[None].clamp(0, 1).to(dtype)


def random_weights(net, seed=0):
    """Fill a network with weights that keep activations alive, frozen; gains near 1, shifts near 0."""
    random = torch.Generator().manual_seed(seed)
    for name, parameter in net.named_parameters():
        noise = torch.randn(parameter.shape, generator=random)
        if parameter.ndim > 2:
            parameter.data = noise * (2 / parameter[0].numel()) ** 0.5
        else:
            plain = parameter.data if name == "embeddings" else 1.0 if name.endswith(("weight", "scale")) else 0.0
            parameter.data = 0.2 * noise + plain
    return net.eval()


def model_of(network, card=None):
    """A painter or translator of a network that was not loaded; of several styles the first is the default."""
    if architecture_of(network) in ("resnet", "unet"):
        return Translator(network, card or {})
    return Painter(network, card or {}, default=getattr(network, "styles", ("",))[:2][-1])


def loaded(path):
    """What is in a file, on the CPU in float32."""
    return load(path, device="cpu", precision="float32")


def written(path, network, card=None, precision="float32"):
    Model(network, card or {}).save(path, precision)


def kept(step):
    """The state of a Step, copied, so that it stays what it was when the run goes on."""
    tensors, values = step.state()
    return {name: tensor.clone() for name, tensor in tensors.items()}, values


def random_johnson(width=8, blocks=2, **settings):
    """A Johnson network with random weights whose pictures are about as bright as photographs."""
    net = random_weights(Johnson(width, blocks, **settings))
    net.deconv3.conv2d.weight.data *= 60
    net.deconv3.conv2d.bias.data += 127
    return net


def same_tensors(one, other, *names):
    """Whether files of two runs hold the same, to the last bit."""
    for name in names:
        ours, theirs = load_file(one / name), load_file(other / name)
        assert ours.keys() == theirs.keys()
        for key, tensor in ours.items():
            assert torch.equal(tensor, theirs[key]), key
    return True
