"""A tiny model as GGUF and a tiny package index on loopback."""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFWriter
from numpy.typing import NDArray
from tokenizers.pre_tokenizers import ByteLevel
from transformers import LlamaConfig, LlamaForCausalLM

from tasks.fetch import pypi

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGES = ("Ġ t", "h e", "Ġt he", "i n", "Ġ Ġ")
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HEADS, KEY_HEADS = 4, 2


def tiny_tokens(merges: tuple[str, ...] = MERGES, without: str = "") -> list[str]:
    """Special tokens, the byte alphabet, and one token a merge."""
    letters = [letter for letter in sorted(ByteLevel.alphabet()) if letter not in without]
    return [*SPECIAL, *letters, *(merge.replace(" ", "") for merge in merges)]


def tiny_model(vocabulary: int) -> LlamaForCausalLM:
    """A random Llama of two layers with tied embeddings."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_HEADS,
        max_position_embeddings=128,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    model.eval()
    return model


def write_gguf(
    path: Path,
    merges: tuple[str, ...] = MERGES,
    pre: str = "smollm",
    without: str = "",
    chat_template: str | None = CHAT_TEMPLATE,
) -> LlamaForCausalLM:
    """Write what llama.cpp's converter would write for `tiny_model`; returns the model."""
    tokens = tiny_tokens(merges, without)
    model = tiny_model(len(tokens))
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_feed_forward_length(64)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(8)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in SPECIAL else 1 for token in tokens])
    writer.add_token_merges(list(merges))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    if chat_template:
        writer.add_chat_template(chat_template)
    for name, tensor in _tensors(model):
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _tensors(model: LlamaForCausalLM) -> Iterator[tuple[str, NDArray[np.float32]]]:
    weights = {name: value.detach().numpy() for name, value in model.named_parameters()}
    yield "token_embd.weight", weights["model.embed_tokens.weight"]
    yield "output_norm.weight", weights["model.norm.weight"]
    names = {
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
    }
    for layer in range(2):
        for short, long in names.items():
            value = weights[f"model.layers.{layer}.{long}.weight"]
            heads = {"attn_q": HEADS, "attn_k": KEY_HEADS}.get(short)
            if heads:
                # llama.cpp stores the halves of a rotary pair side by side.
                halves = value.reshape(heads, 2, value.shape[0] // heads // 2, value.shape[1])
                value = halves.swapaxes(1, 2).reshape(value.shape)
            yield f"blk.{layer}.{short}.weight", np.ascontiguousarray(value)


def sha256(content: bytes) -> str:
    """Hash of bytes."""
    return hashlib.sha256(content).hexdigest()


class Index(ThreadingHTTPServer):
    """A PEP 503 index; `files` are served, `announced` may lie about their hashes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.announced: dict[str, str] = {}
        self.requests: Counter[str] = Counter()
        self.ranges: list[str] = []
        self.failures = 0
        self.cut_after: int | None = None

    @property
    def url(self) -> str:
        """Address of the simple index."""
        return f"http://user:secret@127.0.0.1:{self.server_port}/simple/"


class _Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        server = self.server
        server.requests[self.path] += 1
        parts = self.path.strip("/").split("/")
        if server.failures:
            server.failures -= 1
            self.send_error(503)
        elif parts[0] == "simple":
            self._page(parts[1])
        else:
            self._file(server.files[parts[1]])

    def _page(self, project: str) -> None:
        names = [n for n in self.server.files if n.lower().replace("_", "-").startswith(project)]
        if not names:
            self.send_error(404)
            return
        links = "".join(
            f'<a href="/files/{n}#sha256={self._announced(n)}">{n}</a>' for n in sorted(names)
        )
        self._send(200, f"<html><body>{links}</body></html>".encode(), "text/html")

    def _announced(self, name: str) -> str:
        return self.server.announced.get(name, sha256(self.server.files[name]))

    def _file(self, content: bytes) -> None:
        start = 0
        if asked := self.headers.get("Range"):
            self.server.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cut, self.server.cut_after = self.server.cut_after, None
        self.wfile.write(content[start : None if cut is None else start + cut])

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """A running index that pip is configured with."""
    server = Index()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    use_index(monkeypatch, server.url)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
    pypi._pip_settings.cache_clear()


def use_index(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Point pip, and so the resolver, at `url` alone, and wait for nothing between attempts."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", url)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.setattr(pypi, "BACKOFF_SECONDS", 0.0)
    pypi._pip_settings.cache_clear()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run a stage in, with its scratch folder inside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STILLHOUSE_STATE", str(tmp_path / ".stillhouse"))
    return tmp_path
