"""Networks, one architecture a file; positional parameters come from the data, keyword-only ones from the recipe."""

from torch import nn

from trainwell.models.alexnet import AlexNet
from trainwell.models.autoencoder import Autoencoder, ConvAutoencoder
from trainwell.models.bert import Bert, BertClassifier, BertTagger
from trainwell.models.crnn import CRNN, SpeechCRNN
from trainwell.models.cyclenet import CycleNet
from trainwell.models.densenet import DenseNet
from trainwell.models.diffusion_mlp import DiffusionMLP
from trainwell.models.diffusion_unet import DiffusionUNet
from trainwell.models.dit import DiT
from trainwell.models.dlinear import DLinear
from trainwell.models.efficientnet import EfficientNet
from trainwell.models.embedder import Embedder
from trainwell.models.fasttext import FastText
from trainwell.models.fcos import FCOS
from trainwell.models.gan import DCGAN, GAN
from trainwell.models.gpt import GPT
from trainwell.models.gpt2 import GPT2
from trainwell.models.itransformer import ITransformer
from trainwell.models.lenet import LeNet
from trainwell.models.linear_blend import LinearBlend
from trainwell.models.mlp import MLP
from trainwell.models.nbsvm import NBSVM
from trainwell.models.neuron import SigmoidNeuron
from trainwell.models.nlinear import NLinear
from trainwell.models.patch_blend import PatchBlend
from trainwell.models.patchtst import PatchTST
from trainwell.models.perceptron import Perceptron
from trainwell.models.realmlp import RealMLP
from trainwell.models.resnet import ResNet
from trainwell.models.rnn import RecurrentClassifier, RecurrentForecaster, RecurrentLanguageModel, RecurrentTagger
from trainwell.models.seq2seq import Seq2Seq
from trainwell.models.speednet import SpeedNet
from trainwell.models.t5 import T5
from trainwell.models.tabm import TabM
from trainwell.models.tide import TiDE
from trainwell.models.transformer import Transformer
from trainwell.models.unet import UNet
from trainwell.models.vae import VAE, ConvVAE
from trainwell.models.vgg import VGG
from trainwell.models.vit import VisionTransformer
from trainwell.models.wide_deep import WideDeep

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
    "unet": UNet,
    "fcos": FCOS,
    "embedder": Embedder,
    "gpt": GPT,
    "gpt2": GPT2,
    "recurrent_language_model": RecurrentLanguageModel,
    "fasttext": FastText,
    "nbsvm": NBSVM,
    "transformer": Transformer,
    "seq2seq": Seq2Seq,
    "t5": T5,
    "recurrent_tagger": RecurrentTagger,
    "bert_tagger": BertTagger,
    "recurrent_classifier": RecurrentClassifier,
    "bert": BertClassifier,
    "wide_deep": WideDeep,
    "masked_bert": Bert,
    "crnn": CRNN,
    "speech_crnn": SpeechCRNN,
    "nlinear": NLinear,
    "linear_blend": LinearBlend,
    "patch_blend": PatchBlend,
    "tide": TiDE,
    "dlinear": DLinear,
    "cyclenet": CycleNet,
    "patchtst": PatchTST,
    "itransformer": ITransformer,
    "recurrent_forecaster": RecurrentForecaster,
    "autoencoder": Autoencoder,
    "conv_autoencoder": ConvAutoencoder,
    "vae": VAE,
    "conv_vae": ConvVAE,
    "gan": GAN,
    "dcgan": DCGAN,
    "diffusion_mlp": DiffusionMLP,
    "diffusion_unet": DiffusionUNet,
    "dit": DiT,
}

__all__ = ["MODELS"]
