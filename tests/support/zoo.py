"""The zoo: a tiny model for each family of transformers, at random weights, and inputs for it."""

from functools import cache
from typing import Any

import torch

TEXT = {"vocab_size": 30, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
WIDE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
BERT = {**TEXT, **WIDE, "max_position_embeddings": 32}
LLAMA = {**BERT, "num_key_value_heads": 2}
GPT2 = {**TEXT, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 32}
T5 = {**TEXT, "d_model": 16, "d_kv": 4, "num_heads": 4, "d_ff": 32, "num_layers": 2, "decoder_start_token_id": 0}
BART = {
    **TEXT,
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 32,
    "decoder_start_token_id": 1,
    "forced_eos_token_id": None,
}
IMAGE = {**WIDE, "image_size": 8, "patch_size": 4}
STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1]}
MOE = {**LLAMA, "num_experts_per_tok": 4}
CLIP = {
    "text_config": {**BERT},
    "vision_config": {**IMAGE},
    "projection_dim": 8,
}
CLASSIFIER, CAUSAL, IMAGES = "ForSequenceClassification", "ForCausalLM", "ForImageClassification"
FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("Bert", CLASSIFIER, BERT),
    "roberta": ("Roberta", CLASSIFIER, {**BERT, "max_position_embeddings": 34}),
    "electra": ("Electra", CLASSIFIER, {**BERT, "embedding_size": 16}),
    "distilbert": (
        "DistilBert",
        CLASSIFIER,
        {**TEXT, "dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 32, "max_position_embeddings": 32},
    ),
    "albert": ("Albert", CLASSIFIER, {**BERT, "embedding_size": 8}),
    "deberta_v2": (
        "DebertaV2",
        CLASSIFIER,
        {**BERT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8},
    ),
    "modernbert": (
        "ModernBert",
        CLASSIFIER,
        {**BERT, "cls_token_id": 2, "sep_token_id": 3, "attn_implementation": "eager", "reference_compile": False},
    ),
    "gpt2": ("GPT2", "LMHeadModel", GPT2),
    "gpt_neo": (
        "GPTNeo",
        CAUSAL,
        {
            **TEXT,
            "hidden_size": 16,
            "num_layers": 2,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
            "max_position_embeddings": 32,
            "window_size": 8,
        },
    ),
    "gptj": ("GPTJ", CAUSAL, {**GPT2, "rotary_dim": 4}),
    "gpt_neox": ("GPTNeoX", CAUSAL, {**BERT, "rotary_pct": 1.0}),
    "opt": ("OPT", CAUSAL, {**BERT, "ffn_dim": 32, "word_embed_proj_dim": 16}),
    "bloom": ("Bloom", CAUSAL, {**TEXT, "hidden_size": 16, "n_layer": 2, "n_head": 4}),
    "falcon": ("Falcon", CAUSAL, {**BERT, "new_decoder_architecture": False}),
    "llama": ("Llama", CAUSAL, LLAMA),
    "mistral": ("Mistral", CAUSAL, LLAMA),
    "qwen2": ("Qwen2", CAUSAL, LLAMA),
    "qwen3": ("Qwen3", CAUSAL, {**LLAMA, "head_dim": 4}),
    "gemma2": ("Gemma2", CAUSAL, {**LLAMA, "head_dim": 4, "query_pre_attn_scalar": 4}),
    "phi": ("Phi", CAUSAL, {**LLAMA, "partial_rotary_factor": 1.0}),
    "phi3": ("Phi3", CAUSAL, LLAMA),
    "mixtral": ("Mixtral", CAUSAL, {**MOE, "num_local_experts": 4}),
    "qwen2_moe": (
        "Qwen2Moe",
        CAUSAL,
        {**MOE, "num_experts": 4, "moe_intermediate_size": 8, "shared_expert_intermediate_size": 16},
    ),
    "qwen3_moe": ("Qwen3Moe", CAUSAL, {**MOE, "num_experts": 4, "moe_intermediate_size": 8, "head_dim": 4}),
    "mamba": ("Mamba", CAUSAL, {**TEXT, "hidden_size": 16, "num_hidden_layers": 2, "state_size": 4}),
    "t5": ("T5", "ForConditionalGeneration", T5),
    "bart": ("Bart", "ForConditionalGeneration", BART),
    "whisper": (
        "Whisper",
        "ForConditionalGeneration",
        {**BART, "num_mel_bins": 8, "max_source_positions": 10, "max_target_positions": 16},
    ),
    "vit": ("ViT", IMAGES, IMAGE),
    "dinov2": ("Dinov2", IMAGES, IMAGE),
    "swin": (
        "Swin",
        IMAGES,
        {"image_size": 16, "patch_size": 2, "embed_dim": 8, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4},
    ),
    "clip": ("CLIP", "Model", CLIP),
    "wav2vec2": (
        "Wav2Vec2",
        CLASSIFIER,
        {
            **WIDE,
            "conv_dim": [8, 8],
            "conv_stride": [4, 4],
            "conv_kernel": [8, 4],
            "classifier_proj_size": 8,
            "num_conv_pos_embeddings": 4,
            "num_conv_pos_embedding_groups": 2,
            "num_feat_extract_layers": 2,
        },
    ),
    "convnext": (
        "ConvNext",
        IMAGES,
        {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "image_size": 16, "layer_scale_init_value": 1.0},
    ),
    "resnet": (
        "ResNet",
        IMAGES,
        {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "hidden_act": "gelu", "layer_type": "basic"},
    ),
}


def member(family: str, **options: Any) -> torch.nn.Module:
    """The family's model in evaluation mode, always the same one."""
    import transformers

    name, task, sizes = FAMILIES[family]
    config = getattr(transformers, f"{name}Config")(**sizes | options)
    for scale in ("initializer_range", "init_std"):
        if scale in vars(config):
            setattr(config, scale, 0.2)  # at the usual 0.02 so small a model hardly reacts to anything
    torch.manual_seed(0)
    return getattr(transformers, f"{name}{task}")(config).eval()


@cache
def example(family: str) -> dict[str, torch.Tensor]:
    """Arguments of the model's call, without a label."""
    _, task, sizes = FAMILIES[family]
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(4, 30, (3, 7), generator=generator)
    side = sizes.get("image_size", 16) if family != "clip" else 8
    images = torch.rand(3, 3, side, side, generator=generator)
    if family == "clip":
        return {"input_ids": tokens, "pixel_values": images}
    if task == IMAGES:
        return {"pixel_values": images}
    if family == "wav2vec2":
        return {"input_values": torch.rand(3, 400, generator=generator)}
    if family == "whisper":
        return {"input_features": torch.rand(3, 8, 20, generator=generator), "decoder_input_ids": tokens}
    return {"input_ids": tokens} | ({"decoder_input_ids": tokens} if task == "ForConditionalGeneration" else {})


def answer(model: torch.nn.Module, family: str) -> torch.Tensor:
    """What the model says of the example."""
    found = model(**example(family))
    return found.logits_per_text if family == "clip" else found.logits
