"""A tiny Llama as a GGUF file of 4-bit weights, with a tokenizer of bytes."""

import hashlib

import numpy as np
import pytest

WIDTH, HEADS, FFN, BLOCKS = 64, 2, 96, 3
BYTES = [chr(33 + n) for n in range(94)] + ["Ġ"]  # of byte-level BPE; Ġ is the space
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["g o", "go o", "goo d", "b a", "ba d"]
WORDS = [*SPECIAL, *BYTES, *(merge.replace(" ", "") for merge in MERGES)]


def matrices():
    """The weights by GGUF's names, as (outputs, inputs)."""
    generator = np.random.default_rng(0)

    def draw(*shape):
        return generator.normal(scale=0.1, size=shape).astype(np.float32)

    weights = {"token_embd.weight": draw(len(WORDS), WIDTH)}
    for block in range(BLOCKS):
        places = {"attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH // 2, WIDTH), "attn_v": (WIDTH // 2, WIDTH)}
        places |= {"attn_output": (WIDTH, WIDTH), "ffn_gate": (FFN, WIDTH), "ffn_up": (FFN, WIDTH)}
        places |= {"ffn_down": (WIDTH, FFN)}
        weights |= {f"blk.{block}.{name}.weight": draw(*shape) for name, shape in places.items()}
    return weights


def write_gguf(path):
    """Write the file; its hash, hexadecimal."""
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(path, "llama")
    for add, value in (
        (writer.add_context_length, 64),
        (writer.add_embedding_length, WIDTH),
        (writer.add_block_count, BLOCKS),
        (writer.add_feed_forward_length, FFN),
        (writer.add_head_count, HEADS),
        (writer.add_head_count_kv, HEADS // 2),
        (writer.add_rope_dimension_count, WIDTH // HEADS),
        (writer.add_layer_norm_rms_eps, 1e-5),
        (writer.add_rope_freq_base, 10000.0),
        (writer.add_vocab_size, len(WORDS)),
        (writer.add_tokenizer_model, "gpt2"),
        (writer.add_tokenizer_pre, "smollm"),
        (writer.add_token_list, WORDS),
        (writer.add_token_types, [3] * len(SPECIAL) + [1] * (len(WORDS) - len(SPECIAL))),
        (writer.add_token_merges, MERGES),
        (writer.add_bos_token_id, 1),
        (writer.add_eos_token_id, 2),
        (writer.add_unk_token_id, 0),
    ):
        add(value)
    kind = gguf.GGMLQuantizationType.Q4_1
    for name, weight in matrices().items():
        writer.add_tensor(name, gguf.quants.quantize(weight, kind), raw_dtype=kind)
    for name in (
        "output_norm",
        *(f"blk.{block}.{norm}" for block in range(BLOCKS) for norm in ("attn_norm", "ffn_norm")),
    ):
        writer.add_tensor(f"{name}.weight", np.linspace(0.5, 1.5, WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return hashlib.sha256(path.read_bytes()).hexdigest()
