"""Constrains an answer to exact tokens within OpenVINO GenAI.

    tokenizer = spelling_tokenizer(Path("models/quantize/small-int8"))
    grammar([[17728], [16185]])     # 'root ::= "AEVA" | "AD85"'

GenAI's grammars constrain text, so a label may also come out as "n" + "egative": the model is then
judged on spellings that it never saw. Here each token is spelt by its number, four letters each,
so that a grammar over letters is one over tokens. The text itself is decoded elsewhere.
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov
import openvino_genai
import openvino_tokenizers
from openvino import opset13

TOKENIZER = "openvino_tokenizer.xml"
DETOKENIZER = "openvino_detokenizer.xml"
_LETTERS = np.frombuffer(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", dtype=np.uint8
)
_SHIFTS = (18, 12, 6, 0)
_WIDTH = len(_SHIFTS)


def grammar(paths: Sequence[Sequence[int]]) -> str:
    """EBNF that accepts exactly these sequences of token ids."""
    words = ['"' + "".join(spell(token) for token in path) + '"' for path in paths]
    return "root ::= " + " | ".join(words)


def spell(token: int) -> str:
    """A token's four letters."""
    return bytes(_LETTERS[[(token >> shift) & 63 for shift in _SHIFTS]]).decode()


def spelling_tokenizer(folder: Path) -> openvino_genai.Tokenizer:
    """The tokenizer in `folder` with every token's text replaced by its number's four letters."""
    core = ov.Core()
    core.add_extension(str(openvino_tokenizers._ext_path))
    detokenizer = core.read_model(folder / DETOKENIZER)
    decoder = next(n for n in detokenizer.get_ops() if n.get_type_name() == "VocabDecoder")
    # The decoder's inputs 1 to 3 are each token's first and last position, and all bytes.
    count = decoder.input_value(1).get_node().get_output_shape(0)[0]
    starts = np.arange(count, dtype=np.int32) * _WIDTH
    letters = np.stack([_LETTERS[(np.arange(count) >> shift) & 63] for shift in _SHIFTS], axis=1)
    for port, values in ((1, starts), (2, starts + _WIDTH), (3, letters.reshape(-1))):
        decoder.input(port).replace_source_output(opset13.constant(values).output(0))
    with tempfile.TemporaryDirectory() as scratch:
        ov.save_model(detokenizer, Path(scratch) / DETOKENIZER, compress_to_fp16=False)
        for file in (TOKENIZER, TOKENIZER.replace(".xml", ".bin")):
            shutil.copyfile(folder / file, Path(scratch) / file)
        return openvino_genai.Tokenizer(scratch)
