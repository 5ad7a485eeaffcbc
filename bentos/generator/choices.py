"""Answers out of a few given texts, as paths of tokens.

    tree = ChoiceTree(("negative", "positive"), renderer.encode, end=2)
    tree.allowed(())          # first tokens of both
    tree.decided((16185,))    # "positive": known after one token

At every step only tokens on the way to a choice are allowed, each choice spelt as the tokenizer
spells it. An answer is known as soon as one choice is left, which costs about one prefill.
"""

from collections.abc import Callable, Sequence


class ChoiceTree:
    """The token paths of some choices; `end` is the token that ends an answer."""

    def __init__(
        self, choices: Sequence[str], encode: Callable[[str], list[int]], end: int
    ) -> None:
        self._end = end
        self._paths = {(*encode(choice), end): choice for choice in choices}
        if len(self._paths) < len(choices):
            raise ValueError(f"some choices have the same tokens: {', '.join(choices)}")
        self.depth = max(self._needed(path) for path in self._paths)

    @property
    def paths(self) -> list[tuple[int, ...]]:
        """Tokens of every choice, without the end token."""
        return [path[:-1] for path in self._paths]

    def allowed(self, taken: Sequence[int]) -> list[int]:
        """Tokens that may follow `taken`; the end token when nothing else may."""
        taken = tuple(taken)
        depth = len(taken)
        following = {p[depth] for p in self._paths if len(p) > depth and p[:depth] == taken}
        return sorted(following) or [self._end]

    def decided(self, taken: Sequence[int]) -> str | None:
        """The choice when `taken` leaves only one, None before.

        Raises:
            ValueError: `taken` leads to no choice.
        """
        taken = tuple(taken)
        left = [choice for path, choice in self._paths.items() if path[: len(taken)] == taken]
        if not left:
            raise ValueError(f"tokens {taken} lead to none of the choices")
        return left[0] if len(left) == 1 else None

    def _needed(self, path: tuple[int, ...]) -> int:
        # A single choice still takes a token: engines answer with one at least.
        return next(n for n in range(1, len(path) + 1) if self.decided(path[:n]) is not None)
