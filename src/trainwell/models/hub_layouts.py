"""What the hub's architectures call our parameters and sizes: tables of names, config.json to arguments."""

from typing import Any

import torch
from torch import Tensor

from trainwell.errors import InputError

Config = dict[str, Any]
Tensors = dict[str, Tensor]


def pairs(ours: str, theirs: str, *kinds: str) -> list[tuple[str, str]]:
    """The pair of names for each kind: weight, bias."""
    return [(f"{ours}.{kind}", f"{theirs}.{kind}") for kind in kinds]


BOTH = ("weight", "bias")

BERT = [
    ("embedding.token.weight", "embeddings.word_embeddings.weight"),
    ("embedding.position.weight", "embeddings.position_embeddings.weight"),
    ("segment.weight", "embeddings.token_type_embeddings.weight"),
    *pairs("norm", "embeddings.LayerNorm", *BOTH),
    *pairs("blocks.*.attention.part.query", "encoder.layer.*.attention.self.query", *BOTH),
    *pairs("blocks.*.attention.part.key", "encoder.layer.*.attention.self.key", *BOTH),
    *pairs("blocks.*.attention.part.value", "encoder.layer.*.attention.self.value", *BOTH),
    *pairs("blocks.*.attention.part.output", "encoder.layer.*.attention.output.dense", *BOTH),
    *pairs("blocks.*.attention.norm", "encoder.layer.*.attention.output.LayerNorm", *BOTH),
    *pairs("blocks.*.feed_forward.part.up", "encoder.layer.*.intermediate.dense", *BOTH),
    *pairs("blocks.*.feed_forward.part.down", "encoder.layer.*.output.dense", *BOTH),
    *pairs("blocks.*.feed_forward.norm", "encoder.layer.*.output.LayerNorm", *BOTH),
]
BERT_INSIDE = [("encoder." + ours, theirs) for ours, theirs in BERT]
BERT_MASKED = [
    *BERT_INSIDE,
    *pairs("transform.0", "cls.predictions.transform.dense", *BOTH),
    *pairs("transform.2", "cls.predictions.transform.LayerNorm", *BOTH),
    ("bias", "cls.predictions.bias"),
]
BERT_TAGS = [*BERT_INSIDE, *pairs("head.1", "classifier", *BOTH)]
BERT_CLASSES = [*BERT_TAGS, *pairs("pool.dense", "pooler.dense", *BOTH)]

GPT2 = [
    ("embedding.token.weight", "wte.weight"),
    ("embedding.position.weight", "wpe.weight"),
    *pairs("blocks.*.attention.norm", "h.*.ln_1", *BOTH),
    *pairs("blocks.*.attention.part.query", "h.*.attn.c_attn.query", *BOTH),
    *pairs("blocks.*.attention.part.key", "h.*.attn.c_attn.key", *BOTH),
    *pairs("blocks.*.attention.part.value", "h.*.attn.c_attn.value", *BOTH),
    *pairs("blocks.*.attention.part.output", "h.*.attn.c_proj", *BOTH),
    *pairs("blocks.*.feed_forward.norm", "h.*.ln_2", *BOTH),
    *pairs("blocks.*.feed_forward.part.up", "h.*.mlp.c_fc", *BOTH),
    *pairs("blocks.*.feed_forward.part.down", "h.*.mlp.c_proj", *BOTH),
    *pairs("norm", "ln_f", *BOTH),
]

LLAMA = [
    ("embedding.token.weight", "embed_tokens.weight"),
    ("blocks.*.attention.norm.weight", "layers.*.input_layernorm.weight"),
    ("blocks.*.attention.part.query.weight", "layers.*.self_attn.q_proj.weight"),
    ("blocks.*.attention.part.key.weight", "layers.*.self_attn.k_proj.weight"),
    ("blocks.*.attention.part.value.weight", "layers.*.self_attn.v_proj.weight"),
    ("blocks.*.attention.part.output.weight", "layers.*.self_attn.o_proj.weight"),
    ("blocks.*.feed_forward.norm.weight", "layers.*.post_attention_layernorm.weight"),
    ("blocks.*.feed_forward.part.gate.weight", "layers.*.mlp.gate_proj.weight"),
    ("blocks.*.feed_forward.part.up.weight", "layers.*.mlp.up_proj.weight"),
    ("blocks.*.feed_forward.part.down.weight", "layers.*.mlp.down_proj.weight"),
    ("norm.weight", "norm.weight"),
    ("head.weight", "lm_head.weight"),
]


def t5_stack(stack: str, last: int) -> list[tuple[str, str]]:
    """Names of T5's encoder or decoder, whose feed-forward is sublayer `last` of each block."""
    own, block = f"{stack}.*.", f"{stack}.block.*.layer."
    letters = {"query": "q", "key": "k", "value": "v", "output": "o"}
    ff = f"{block}{last}.DenseReluDense."
    return [
        (f"{stack}_bias.bias.weight", f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
        *((f"{own}attention.part.{k}.weight", f"{block}0.SelfAttention.{v}.weight") for k, v in letters.items()),
        (f"{own}attention.norm.weight", f"{block}0.layer_norm.weight"),
        *((f"{own}cross.part.{k}.weight", f"{block}1.EncDecAttention.{v}.weight") for k, v in letters.items()),
        (f"{own}cross.norm.weight", f"{block}1.layer_norm.weight"),
        (f"{own}feed_forward.part.gate.weight", f"{ff}wi_0.weight"),
        (f"{own}feed_forward.part.up.weight", f"{ff}wi.weight"),
        (f"{own}feed_forward.part.down.weight", f"{ff}wo.weight"),
        (f"{own}feed_forward.norm.weight", f"{block}{last}.layer_norm.weight"),
        (f"{stack}_norm.weight", f"{stack}.final_layer_norm.weight"),
    ]


T5 = [
    ("embedding.token.weight", "shared.weight"),
    *t5_stack("encoder", 1),
    *t5_stack("decoder", 2),
    ("head.weight", "lm_head.weight"),
]

PREFIXES = {
    "BertForMaskedLM": "bert.",
    "BertForSequenceClassification": "bert.",
    "BertForTokenClassification": "bert.",
    "GPT2LMHeadModel": "transformer.",
    "LlamaForCausalLM": "model.",
}
HEADS = ("cls.", "classifier.", "lm_head.")  # names that stand beside the trunk and take no prefix


def plain_name(name: str) -> str:
    """A hub name without the trunk's prefix and in today's spelling."""
    for prefix in ("bert.", "transformer.", "model."):
        name = name.removeprefix(prefix)
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def full_name(name: str, prefix: str) -> str:
    """The name as the hub writes it: the prefix before all that belongs to the trunk."""
    return name if name.startswith(HEADS) else prefix + name


def open_gpt2(theirs: Tensors) -> Tensors:
    """GPT-2 stores (inputs, outputs), and queries, keys and values as one: turn and part them."""
    opened: Tensors = {}
    for name, tensor in theirs.items():
        if name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
            tensor = tensor.t()
        if ".c_attn." in name:
            for part, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                opened[name.replace(".c_attn.", f".c_attn.{part}.")] = piece
        else:
            opened[name] = tensor
    return opened


def close_gpt2(opened: Tensors) -> Tensors:
    """The way back from `open_gpt2`."""
    theirs: Tensors = {}
    for name, tensor in opened.items():
        if ".c_attn." in name:
            if ".query." not in name:
                continue
            tensor = torch.cat([opened[name.replace(".query.", f".{part}.")] for part in ("query", "key", "value")])
            name = name.replace(".query.", ".")
        theirs[name] = tensor.t() if name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")) else tensor
    return theirs


def open_t5(theirs: Tensors) -> Tensors:
    """The gated feed-forward's second matrix under the name of the plain one's first; a head, if only by tying."""
    opened = {name.replace(".wi_1.", ".wi."): tensor for name, tensor in theirs.items()}
    if "shared.weight" in opened:
        opened.setdefault("lm_head.weight", opened["shared.weight"])
    return opened


def close_t5(opened: Tensors) -> Tensors:
    """The way back from `open_t5`."""
    gated = any(".wi_0." in name for name in opened)
    return {name.replace(".wi.", ".wi_1.") if gated else name: tensor for name, tensor in opened.items()}


def expect(config: Config, name: str, default: Any, *allowed: Any) -> Any:
    """The entry of config.json; raises InputError if it is none of those that the model here has."""
    value = config.get(name, default)
    if value not in allowed:
        raise InputError(f"config.json: {name} is {value!r}; only {', '.join(map(repr, allowed))} can be opened")
    return value


def read_bert(config: Config) -> Config:
    """Arguments of `BertEncoder` and `Bert`."""
    expect(config, "hidden_act", "gelu", "gelu")
    expect(config, "position_embedding_type", "absolute", "absolute", None)
    expect(config, "type_vocab_size", 2, 2)
    return {
        "vocabulary": config["vocab_size"],
        "width": config["hidden_size"],
        "depth": config["num_hidden_layers"],
        "heads": config["num_attention_heads"],
        "hidden": config["intermediate_size"],
        "context": config["max_position_embeddings"],
        "dropout": config.get("hidden_dropout_prob", 0.1),
        "epsilon": config.get("layer_norm_eps", 1e-12),
    }


def read_bert_tags(config: Config) -> Config:
    """Arguments of `BertTagger`."""
    expect(config, "layer_norm_eps", 1e-12, 1e-12)
    arguments = {**read_bert(config), "classes": len(config.get("id2label") or (0, 1))}
    del arguments["epsilon"]
    return arguments


def read_bert_classes(config: Config) -> Config:
    """Arguments of `BertClassifier`."""
    return {**read_bert_tags(config), "pooling": "first"}


def write_bert(model: Any) -> Config:
    """config.json of any BERT."""
    trunk = getattr(model, "encoder", model)
    block = trunk.blocks[0]
    config = {
        "model_type": "bert",
        "vocab_size": trunk.embedding.token.num_embeddings,
        "hidden_size": trunk.width,
        "num_hidden_layers": len(trunk.blocks),
        "num_attention_heads": block.attention.part.heads,
        "intermediate_size": block.feed_forward.part.up.out_features,
        "hidden_act": "gelu",
        "max_position_embeddings": trunk.context,
        "type_vocab_size": 2,
        "layer_norm_eps": trunk.norm.eps,
        "hidden_dropout_prob": trunk.dropout.p,
        "attention_probs_dropout_prob": block.attention.part.dropout,
    }
    if hasattr(model, "head"):
        labels = range(model.head[1].out_features)
        config["id2label"] = {str(i): f"LABEL_{i}" for i in labels}
        config["label2id"] = {f"LABEL_{i}": i for i in labels}
    return config


def read_gpt2(config: Config) -> Config:
    """Arguments of `GPT2`."""
    expect(config, "activation_function", "gelu_new", "gelu_new", "gelu_pytorch_tanh")
    expect(config, "scale_attn_by_inverse_layer_idx", False, False)
    expect(config, "scale_attn_weights", True, True)
    return {
        "vocabulary": config["vocab_size"],
        "width": config["n_embd"],
        "depth": config["n_layer"],
        "heads": config["n_head"],
        "hidden": config.get("n_inner"),
        "context": config.get("n_positions", 1024),
        "dropout": config.get("resid_pdrop", 0.1),
        "epsilon": config.get("layer_norm_epsilon", 1e-5),
    }


def write_gpt2(model: Any) -> Config:
    """config.json of GPT-2, without a token that ends a text."""
    block = model.blocks[0]
    return {
        "model_type": "gpt2",
        "vocab_size": model.embedding.token.num_embeddings,
        "n_embd": model.embedding.token.embedding_dim,
        "n_layer": model.depth,
        "n_head": block.attention.part.heads,
        "n_inner": block.feed_forward.part.up.out_features,
        "n_positions": model.context,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": model.norm.eps,
        "resid_pdrop": block.attention.dropout.p,
        "embd_pdrop": model.embedding.dropout.p,
        "attn_pdrop": block.attention.part.dropout,
        "bos_token_id": None,
        "eos_token_id": None,
    }


def read_llama(config: Config) -> Config:
    """Arguments of `Llama`."""
    expect(config, "hidden_act", "silu", "silu")
    expect(config, "attention_bias", False, False)
    expect(config, "mlp_bias", False, False)
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    expect(rope, "rope_type", rope.get("type", "default"), "default")
    width, heads = config["hidden_size"], config["num_attention_heads"]
    expect(config, "head_dim", None, None, width // heads)
    return {
        "vocabulary": config["vocab_size"],
        "width": width,
        "depth": config["num_hidden_layers"],
        "heads": heads,
        "key_heads": config.get("num_key_value_heads", heads),
        "hidden": config["intermediate_size"],
        "context": config.get("max_position_embeddings", 2048),
        "base": rope.get("rope_theta", config.get("rope_theta", 10000.0)),
        "tied": config.get("tie_word_embeddings", False),
        "epsilon": config.get("rms_norm_eps", 1e-6),
    }


def write_llama(model: Any) -> Config:
    """config.json of Llama, without tokens that begin or end a text."""
    attention = model.blocks[0].attention.part
    return {
        "model_type": "llama",
        "vocab_size": model.embedding.token.num_embeddings,
        "hidden_size": model.embedding.token.embedding_dim,
        "num_hidden_layers": model.depth,
        "num_attention_heads": attention.heads,
        "num_key_value_heads": attention.key_heads,
        "intermediate_size": model.blocks[0].feed_forward.part.up.out_features,
        "hidden_act": "silu",
        "max_position_embeddings": model.context,
        "rope_theta": model.rotary.base,
        "rope_parameters": {"rope_type": "default", "rope_theta": model.rotary.base},
        "rms_norm_eps": model.norm.eps,
        "tie_word_embeddings": model.head is None,
        "bos_token_id": None,
        "eos_token_id": None,
    }


def read_t5(config: Config) -> Config:
    """Arguments of `T5`."""
    form = expect(config, "feed_forward_proj", "relu", "relu", "gated-gelu")
    depth = config["num_layers"]
    expect(config, "num_decoder_layers", depth, depth, None)
    expect(config, "relative_attention_num_buckets", 32, 32)
    expect(config, "relative_attention_max_distance", 128, 128)
    expect(config, "decoder_start_token_id", 0, 0)
    return {
        "vocabulary": config["vocab_size"],
        "width": config["d_model"],
        "depth": depth,
        "heads": config["num_heads"],
        "head_width": config["d_kv"],
        "hidden": config["d_ff"],
        "dropout": config.get("dropout_rate", 0.1),
        "gated": form == "gated-gelu",
        "tied": config.get("scale_decoder_outputs", config.get("tie_word_embeddings", True)),
        "epsilon": config.get("layer_norm_epsilon", 1e-6),
    }


def write_t5(model: Any) -> Config:
    """config.json of T5."""
    block = model.encoder[0]
    gated = hasattr(block.feed_forward.part, "gate")
    return {
        "model_type": "t5",
        "vocab_size": model.embedding.token.num_embeddings,
        "d_model": model.width,
        "d_kv": block.attention.part.head_width,
        "d_ff": block.feed_forward.part.down.in_features,
        "num_layers": model.depth,
        "num_decoder_layers": model.depth,
        "num_heads": block.attention.part.heads,
        "feed_forward_proj": "gated-gelu" if gated else "relu",
        "is_encoder_decoder": True,
        "dropout_rate": model.dropout.p,
        "layer_norm_epsilon": model.encoder_norm.eps,
        "tie_word_embeddings": model.head is None,
        "pad_token_id": 0,
        "decoder_start_token_id": 0,
    }
