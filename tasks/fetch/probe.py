"""One question to a freshly fetched model: weights, tokenizer and template belong together.

ask(Path("models/fetch/base"), Probe(question="What is the capital of France?", expect="Paris"))
"""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bentos.generator.prompt import Message, Renderer
from tasks.errors import ModelError
from tasks.fetch.config import Probe

_SAMPLES = ("In 2024, it  cost 1,234.50 €!", "\n\n\tdéjà vu 日本語 🙂", "don't  STOP_now 007")


def ask(folder: Path, probe: Probe) -> str:
    """The model's greedy answer.

    Raises:
        ModelError: it does not contain what is expected.
    """
    renderer = Renderer.from_folder(folder)
    message: Message = {"role": "user", "content": probe.question}
    prompt = torch.tensor([renderer.encode(renderer.render([message]))])  # (1, T)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    with torch.inference_mode():
        output = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=probe.max_new_tokens,
        )  # (1, T + new)
    answer = renderer.decode(output[0, prompt.shape[1] :].tolist()).strip()
    if probe.expect.casefold() not in answer.casefold():
        raise ModelError(
            f"{folder}: asked {probe.question!r}, the model answered {answer!r} without "
            f"{probe.expect!r}. The weights or the tokenizer were not converted well, or this "
            "model does not know: change or remove fetch.weights.*.probe."
        )
    return answer


def require_agreement(folder: Path) -> None:
    """Refuse a folder that AutoTokenizer reads differently from its tokenizer.json.

    Raises:
        ModelError: the ids differ.
    """
    renderer = Renderer.from_folder(folder)
    stock = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    specials = [t.content for t in renderer.tokenizer.get_added_tokens_decoder().values()]
    for text in (*_SAMPLES, "a".join(specials)):
        if stock(text, add_special_tokens=False)["input_ids"] != renderer.encode(text):
            raise ModelError(
                f"{folder}: AutoTokenizer and tokenizer.json disagree on {text[:60]!r}; save the "
                "tokenizer again with a current transformers and use it with path:"
            )
