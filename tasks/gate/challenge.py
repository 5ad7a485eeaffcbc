"""May a candidate take the place of the release in use? No worse than it, and better in one way.

    lacks(champion, candidate, config, test_items=1500)    [] or why it is not worth a look
    judge(champion, candidate, pairs, config)              what the locked test says of the two

Better is cheaper by more than noise, or right more often by more than noise. Without that rule a
schedule of retraining would replace a good release by an equal one every week.

All three hypotheses (no worse than the teacher, no worse than the champion, better than it) must
be shown, each at the full level: a pass needs all of them, so the chance of a false one stays that
of a single test (intersection-union, Berger 1982, Technometrics 24:295).
"""

from typing import NamedTuple

from tasks.candidates_table import Difference, Evaluation, Verdict
from tasks.gate import savings, verdict
from tasks.gate.config import GateConfig
from tasks.gate.pairing import Paired, pair
from tasks.gate.selection import Evaluated, Lack, more_items, points
from tasks.ledger import ratio


class Challenge(NamedTuple):
    """What the locked test says of champion and candidate."""

    verdict: Verdict
    difference: Difference
    required_items: int | None
    reasons: tuple[str, ...]


def lacks(
    champion: Evaluated, candidate: Evaluated, config: GateConfig, test_items: int
) -> list[Lack]:
    """Why a candidate would not take the champion's place, judged on validation; else empty."""
    if candidate.report.model_hash == champion.report.model_hash is not None:
        return [Lack("it is the release in use")]
    pairs = pair(
        champion.report.name, champion.predictions, candidate.report.name, candidate.predictions
    )
    found = []
    chance = pairs.pass_probability(test_items, config.margin, config.confidence)
    if chance < config.min_pass_probability:
        reason = (
            f"its chance of being shown no worse than the release in use is {chance:.0%}, and "
            f"{config.min_pass_probability:.0%} is asked"
        )
        found.append(Lack(reason, more_items(pairs, config.margin, config, test_items)))
    superior = pairs.pass_probability(test_items, 0.0, config.confidence)
    if (
        not cheaper(champion.report, candidate.report, config)
        and superior < config.min_pass_probability
    ):
        reason = (
            "it is not cheaper than the release in use by more than noise, and its chance of "
            f"being shown better is {superior:.0%}"
        )
        found.append(Lack(reason, more_items(pairs, 0.0, config, test_items)))
    return found


def judge(
    champion: Evaluation, candidate: Evaluation, pairs: Paired, config: GateConfig
) -> Challenge:
    """The verdict on one look at the locked test; the champion stays unless it is `pass`."""
    no_worse = verdict.judge(pairs, config)
    difference = Difference(
        confidence=config.confidence, discordance=pairs.discordance, **no_worse.difference._asdict()
    )
    told = f"against the release in use it is {points(pairs.difference)}"
    if no_worse.verdict != "pass":
        _, *found = no_worse.reasons
        reasons = (told, *found)
        return Challenge(no_worse.verdict, difference, no_worse.required_items, reasons)
    if cheaper(champion, candidate, config):
        times = _cost(champion) / _cost(candidate)
        reason = f"{told}, within the margin, and {times:.2f} times cheaper by more than noise"
        return Challenge("pass", difference, None, (reason,))
    if no_worse.difference.lower_bound > 0:
        return Challenge("pass", difference, None, (f"{told}: better by more than noise",))
    reason = f"{told} and not cheaper by more than noise: keep the release in use"
    return Challenge("fail", difference, None, (reason,))


def cheaper(champion: Evaluation, candidate: Evaluation, config: GateConfig) -> bool:
    """Whether the ratio of the two prices is below 1 with its interval over repeats."""
    found = ratio(savings.repeats(candidate), savings.repeats(champion), config.confidence)
    return found.high is not None and found.high < 1


def _cost(report: Evaluation) -> float:
    return report.cost.per_1000_requests.value
