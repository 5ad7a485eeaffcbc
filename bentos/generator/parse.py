"""Reads the workload's typed answer out of the model's text.

parse_answer(" positive\\n", decoding)     # "positive"
"""

from bentos.generator.decoding import Decoding


def parse_answer(text: str, decoding: Decoding) -> str:
    """The answer without surrounding blanks.

    Raises:
        ValueError: it is none of the decoding's choices.
    """
    answer = text.strip()
    if decoding.choices is None:
        return answer
    for choice in decoding.choices:
        if choice.strip() == answer:
            return choice
    raise ValueError(f"{answer!r} is none of {', '.join(decoding.choices)}")
