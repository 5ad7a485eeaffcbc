"""A tiny random model and a few records, made on the spot: no network, no downloads.

    folder = tiny_model(tmp_path / "models/fetch/base", layers=4)

Llama with grouped-query attention; a byte-level tokenizer with two label words of one token each.
"""

from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from bentos.generator.prompt import PromptTemplate
from tasks import paths, records
from tasks.config import Task
from tasks.records import Record

LABELS = ("negative", "positive")
TASK = Task(
    kind="classification",
    labels=LABELS,
    input_fields=("text",),
    prompt=PromptTemplate(user="{text}"),
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def tiny_model(
    folder: Path, layers: int = 4, seed: int = 0, tied: bool = True, head_dim: int = 8
) -> Path:
    """Write a loadable model with its tokenizer into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer()
    torch.manual_seed(seed)
    end = tokenizer.token_to_id("<|im_end|>")
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=head_dim,
        max_position_embeddings=256,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        tie_word_embeddings=tied,
        initializer_range=0.2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    wrapped.chat_template = CHAT_TEMPLATE
    wrapped.save_pretrained(folder)
    return folder


def tiny_tokenizer() -> Tokenizer:
    """Bytes, the two labels as whole tokens, and the special tokens."""
    tokens = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = []
    for label in LABELS:
        for end in range(2, len(label) + 1):
            merges.append((label[: end - 1], label[end - 1]))
            tokens.append(label[:end])
    vocab = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    return tokenizer


def record(number: int) -> Record:
    """Record `number`; its label can be read off its text."""
    label = LABELS[number % 2]
    word = ("dull", "grand")[number % 2]
    text = f"{word} film {number}"
    prompt = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    return Record(
        id=f"{number:016x}",
        group=str(number),
        fields={"text": text},
        messages=[{"role": "user", "content": text}],
        prompt=prompt,
        reference=label,
    )


def tiny_data(train: int = 16, validation: int = 8, test: int = 8) -> None:
    """Write the three splits below the working directory."""
    ends = (0, train, train + validation, train + validation + test)
    for path, start, end in zip(
        (paths.TRAIN, paths.VALIDATION, paths.LOCKED_TEST), ends, ends[1:], strict=False
    ):
        records.write(path, map(record, range(start, end)))
