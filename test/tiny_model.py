"""Small models for tests, with random weights."""

import torch

from desert_seg.labels import load_label_map
from desert_seg.network import NetworkConfig, SegmentationNetwork
from desert_seg_train.saving import save_network

TINY = NetworkConfig("DeepLabV3Plus", "timm-tf_efficientnet_lite0", 7, (0.5,) * 3, (0.5,) * 3)


def make_tiny_network():
    """The light architecture with random weights, which half precision holds exactly, and lively batch statistics."""
    torch.manual_seed(0)
    network = SegmentationNetwork(TINY)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.8, 1.6)
            module.bias.data.uniform_(-0.3, 0.3)
    for parameter in network.parameters():
        parameter.data = parameter.data.half().float()
    return network.eval()


def make_tiny_artifact(path, network):
    """An artifact of it at a small input size."""
    return save_network(path, network, "tiny", (96, 160), load_label_map("falcon7_stones"))
