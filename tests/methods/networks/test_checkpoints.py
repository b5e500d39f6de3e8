"""Encoders out of the checkpoints that other libraries write, read without running anything in them."""

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from disentangle_bench.methods.networks.backbones import backbone
from disentangle_bench.methods.networks.checkpoints import load_weights, read_state


@pytest.fixture(scope="module")
def encoder() -> nn.Module:
    return timm.create_model("resnet18", num_classes=0)


def renamed(state, prefix, **more):
    return {f"{prefix}{name}": value for name, value in state.items()} | more


def other(state):
    return {name: torch.zeros_like(value) for name, value in state.items()}


LAYOUTS = {
    "torchvision": lambda state, _: renamed(state, "", **{"fc.weight": torch.zeros(1000, 512)}),
    "timm": lambda state, _: {"state_dict": renamed(state, ""), "epoch": 3},
    "lightly": lambda state, model: {
        "state_dict": renamed(
            nn.Sequential(*list(model.children())[:-1]).state_dict(), "backbone.", **{"head.0.weight": torch.zeros(8)}
        ),
        "hyper_parameters": {"lr": 0.1},
    },
    "solo-learn": lambda state, _: {
        "state_dict": renamed(state, "backbone.")
        | renamed(other(state), "momentum_backbone.")
        | {"queue": torch.ones(2)}
    },
    "older solo-learn": lambda state, _: {"state_dict": renamed(state, "encoder.")},
    "MoCo v2": lambda state, _: {
        "state_dict": renamed(state, "module.encoder_q.") | renamed(other(state), "module.encoder_k.")
    },
    "MoCo v3": lambda state, _: {
        "state_dict": renamed(state, "module.base_encoder.") | renamed(other(state), "module.momentum_encoder.")
    },
    "DINO": lambda state, _: {
        "student": renamed(other(state), "module.backbone."),
        "teacher": renamed(state, "backbone."),
    },
    "SimSiam": lambda state, _: {"state_dict": renamed(state, "module.encoder.module.")},
    "data parallel": lambda state, _: renamed(state, "module."),
    "without counters": lambda state, _: {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_encoder_is_found(layout, encoder, tmp_path):
    state = encoder.state_dict()
    torch.save(LAYOUTS[layout](state, encoder), tmp_path / "their.ckpt")
    model = backbone("resnet18", (3, 224, 224))
    assert not torch.equal(model.state_dict()["conv1.weight"], state["conv1.weight"])
    load_weights(model, str(tmp_path / "their.ckpt"))
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_a_vision_transformer_is_found_too(tmp_path):
    model = timm.create_model("test_vit", num_classes=0)
    save_file(renamed(model.state_dict(), "module.backbone."), tmp_path / "vit.safetensors")
    found = backbone("test_vit", (3, 160, 160))
    load_weights(found, str(tmp_path / "vit.safetensors"))
    assert torch.equal(found.state_dict()["pos_embed"], model.state_dict()["pos_embed"])


def test_what_is_no_such_encoder_is_told(encoder, tmp_path):
    state = encoder.state_dict()
    file = str(tmp_path / "their.pth")
    wrong = {
        r"holds another encoder: \d+ of 100 tensors are not in there, such as backbone\.layer": {
            k: v for k, v in renamed(state, "backbone.").items() if "layer4" not in k
        },
        "holds several encoders: a., b.; save the tensors of one alone": renamed(state, "a.") | renamed(state, "b."),
        "tensors differ, such as conv1.weight": state | {"conv1.weight": torch.zeros(64, 3, 3, 3)},
        "holds no state dict": {"epoch": 3},
    }
    for message, content in wrong.items():
        torch.save(content, file)
        with pytest.raises(ValueError, match=message):
            load_weights(backbone("resnet18", (3, 224, 224)), file)


def test_what_would_have_to_be_run_is_not(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "was run"), "w"))

    torch.save({"state_dict": {"conv1.weight": torch.ones(1)}, "hyper_parameters": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(ValueError, match=r"open[^.]*by default; nothing in a file is run: save its tensors alone"):
        read_state(str(tmp_path / "evil.ckpt"))
    assert not (tmp_path / "was run").exists()
