"""Draw what a search found: `python -m tasks.search.show`.

Reads reports/search.json, writes reports/search.md and reports/search.png.
"""

from tasks import paths, stage
from tasks.errors import StillhouseError
from tasks.search import picture, words
from tasks.search.outcome import Outcome


def main(arguments: list[str]) -> None:
    """Read the outcome and write picture and words; takes no arguments."""
    if arguments:
        raise StillhouseError("usage: python -m tasks.search.show (no arguments)")
    file = paths.REPORTS / "search.json"
    if not file.exists():
        raise StillhouseError(f"{file}: missing; run the flow search first")
    outcome = Outcome.model_validate_json(file.read_text(encoding="utf-8"))
    file.with_suffix(".md").write_text(words.markdown(outcome), encoding="utf-8")
    file.with_suffix(".png").write_bytes(picture.draw(outcome))


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
