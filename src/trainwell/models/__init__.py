"""Networks, one architecture a file; positional parameters come from the data, keyword-only ones from the recipe."""

from torch import nn

from trainwell.models.alexnet import AlexNet
from trainwell.models.densenet import DenseNet
from trainwell.models.efficientnet import EfficientNet
from trainwell.models.lenet import LeNet
from trainwell.models.mlp import MLP
from trainwell.models.neuron import SigmoidNeuron
from trainwell.models.perceptron import Perceptron
from trainwell.models.realmlp import RealMLP
from trainwell.models.resnet import ResNet
from trainwell.models.speednet import SpeedNet
from trainwell.models.tabm import TabM
from trainwell.models.vgg import VGG
from trainwell.models.vit import VisionTransformer

MODELS: dict[str, type[nn.Module]] = {
    "perceptron": Perceptron,
    "sigmoid_neuron": SigmoidNeuron,
    "mlp": MLP,
    "realmlp": RealMLP,
    "tabm": TabM,
    "lenet": LeNet,
    "alexnet": AlexNet,
    "vgg": VGG,
    "resnet": ResNet,
    "densenet": DenseNet,
    "efficientnet": EfficientNet,
    "vit": VisionTransformer,
    "speednet": SpeedNet,
}

__all__ = ["MODELS"]
