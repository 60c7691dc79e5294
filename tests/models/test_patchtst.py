"""PatchTST against transformers' on equal weights."""

import pytest
import torch

from trainwell.models.patchtst import PatchTST


def test_forecasts_equal_transformers():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.PatchTSTConfig(
        num_input_channels=3, context_length=35, prediction_length=7, patch_length=8, patch_stride=4, d_model=16,
        num_attention_heads=4, num_hidden_layers=2, ffn_dim=32, pre_norm=False, pooling_type=None, loss="mse",
        positional_encoding_type="random", scaling="std",
    )  # fmt: skip
    theirs = transformers.PatchTSTForPrediction(config).eval()
    with torch.no_grad():
        for part in theirs.modules():
            if isinstance(part, torch.nn.BatchNorm1d):
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2.0)
        for weight in theirs.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    ours = PatchTST(3, 7, lookback=35, patch=8, width=16, depth=2, heads=4, hidden=32).eval()
    names = {
        "patches.embedding.": "model.encoder.embedder.input_embedding.",
        "patches.position": "model.encoder.positional_encoder.position_enc",
        "blocks.": "model.encoder.layers.",
        ".attention.part.query.": ".self_attn.q_proj.",
        ".attention.part.key.": ".self_attn.k_proj.",
        ".attention.part.value.": ".self_attn.v_proj.",
        ".attention.part.output.": ".self_attn.out_proj.",
        ".attention.norm.": ".norm_sublayer1.batchnorm.",
        ".feed_forward.part.up.": ".ff.0.",
        ".feed_forward.part.down.": ".ff.3.",
        ".feed_forward.norm.": ".norm_sublayer3.batchnorm.",
        "head.": "head.projection.",
    }
    state = theirs.state_dict()
    own = {}
    for name in ours.state_dict():
        other = name
        for mine, hers in names.items():
            other = other.replace(mine, hers)
        own[name] = state.pop(other)
    ours.load_state_dict(own)
    x = torch.randn(2, 35, 3).cumsum(1) * 5 + 20
    wanted = theirs(past_values=x).prediction_outputs
    assert (ours(x) - wanted).abs().max() < 1e-3 * x.std()
    assert not state
