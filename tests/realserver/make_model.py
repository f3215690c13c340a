"""Write a language model of half a megabyte with random weights, as GGUF: enough for a real llama.cpp server.

    python make_model.py MODEL.gguf

Its words are noise: any byte may come, control characters and halves of UTF-8 characters among them. Needs ``gguf`` and
``numpy``.
"""

import sys

import gguf
import numpy as np

WIDTH = 64
BLOCKS = 2
HEADS = 4
INNER = 128
CONTEXT = 4096

# A blank is written so in llama's vocabularies.
BLANK = "\u2581"
WORDS = ["river", "hill", "the", "from", "to", "sea", "rain", "stone", "begin", "where", "of", "a", "yes", "no"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"

TEMPLATE = (
    "{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def vocabulary() -> tuple[list[bytes], list[float], list[int]]:
    """The tokens, how they rank in splitting text, and their kinds: three marks, every byte, words and letters."""
    kinds = gguf.TokenType
    tokens = [(b"<unk>", 0.0, kinds.UNKNOWN), (b"<s>", 0.0, kinds.CONTROL), (b"</s>", 0.0, kinds.CONTROL)]
    tokens += [(b"<0x%02X>" % byte, -1000.0, kinds.BYTE) for byte in range(256)]
    pieces = [BLANK + word for word in WORDS] + [BLANK, *LETTERS]
    tokens += [(piece.encode(), -float(rank), kinds.NORMAL) for rank, piece in enumerate(pieces)]
    return [token for token, _, _ in tokens], [score for _, score, _ in tokens], [kind for _, _, kind in tokens]


def write(path: str) -> None:
    """Write the model."""
    random = np.random.default_rng(seed=20)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("noise")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    tokens, scores, kinds = vocabulary()
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)

    def add(name: str, *shape: int) -> None:
        # One dimension is a norm's, and those begin as ones.
        values = np.ones(shape) if len(shape) == 1 else random.normal(scale=0.2, size=shape)
        writer.add_tensor(f"{name}.weight", values.astype(np.float32))

    add("token_embd", len(tokens), WIDTH)
    for block in range(BLOCKS):
        add(f"blk.{block}.attn_norm", WIDTH)
        for part in ("q", "k", "v", "output"):
            add(f"blk.{block}.attn_{part}", WIDTH, WIDTH)
        add(f"blk.{block}.ffn_norm", WIDTH)
        add(f"blk.{block}.ffn_gate", INNER, WIDTH)
        add(f"blk.{block}.ffn_up", INNER, WIDTH)
        add(f"blk.{block}.ffn_down", WIDTH, INNER)
    add("output_norm", WIDTH)
    add("output", len(tokens), WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(sys.argv[1])
