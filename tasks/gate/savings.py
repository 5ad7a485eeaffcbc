"""Is the candidate cheaper, and what does it save? A saving counts only if it was measured.

    lacks(teacher, candidate, config)       [] or what is wrong with the saving, in words
    ledger(teacher, candidate, config)      prices, what was spent once, and the break-even

A smaller model is not a cheaper one: masked weights are still multiplied, and int8 is slower than
float where the machine has no fast instructions for it. So sizes count for nothing here.
"""

from tasks import ledger as prices
from tasks.candidates_table import Evaluation, Ledger, ServiceLevel, Span, money
from tasks.gate.config import GateConfig
from tasks.intervals import Estimate


def net_ratio(teacher: Evaluation, candidate: Evaluation, config: GateConfig) -> Estimate:
    """The candidate's net price divided by the teacher's, with its interval over repeats.

    Net of router, judge and of what the teacher answers after all.
    """
    added = _added(teacher, config)
    return prices.ratio(
        [price + added for price in repeats(candidate)], repeats(teacher), config.confidence
    )


def lacks(teacher: Evaluation, candidate: Evaluation, config: GateConfig) -> list[str]:
    """Why the saving does not count; nothing when it does."""
    found = _incomparable(teacher, candidate)
    level = candidate.cost.service_level
    if level is not None and not level.met:
        found.append(
            f"it does not answer 95% of requests within the {level.p95_ms_asked:g} ms that are "
            f"asked: with {_load(candidate)} it takes {level.p95_ms_measured:,.0f} ms"
        )
    ratio = net_ratio(teacher, candidate, config)
    if ratio.high is None:
        found.append(
            "its price was measured once, which does not tell a saving from noise: raise "
            "evaluate.measure.repeats to 2 or more"
        )
    elif ratio.high >= 1:
        found.append(_not_cheaper(teacher, candidate, ratio, config))
    if ratio.value > config.max_cost_ratio:
        found.append(
            f"it costs {ratio.value:.3f} of the teacher's price, and at most "
            f"{config.max_cost_ratio:.3f} is allowed"
        )
    return found


def ledger(teacher: Evaluation, candidate: Evaluation, config: GateConfig) -> Ledger:
    """What taking the candidate costs and saves."""
    asked = config.ledger
    price, teachers = _price(candidate), _price(teacher)
    net = price + _added(teacher, config)
    per_hour = asked.training_price_per_hour or candidate.cost.price_per_hour or 0.0
    machine = prices.machine_price(candidate.machine_seconds, per_hour)
    labels = asked.labels_price + sum(candidate.paid.values())
    one_time = machine + labels
    even = prices.break_even(one_time, teachers - net)
    month = asked.requests_per_month
    return Ledger(
        currency=candidate.cost.currency,
        teacher_per_1000=teachers,
        candidate_per_1000=price,
        router_per_1000=asked.router_per_1000,
        judge_per_1000=asked.judge_per_1000,
        escalation_share=asked.escalation_share,
        fallback_per_1000=asked.escalation_share * teachers,
        net_per_1000=net,
        saving_per_1000=teachers - net,
        ratio=Span(**net_ratio(teacher, candidate, config)._asdict()),
        machine_seconds=candidate.machine_seconds,
        machine_price=machine,
        labels_price=labels,
        one_time=one_time,
        break_even_requests=even,
        requests_per_month=month,
        months_to_break_even=even / month if even is not None and month else None,
        notes=tuple(_notes(candidate, config)),
    )


def words(found: Ledger) -> str:
    """The ledger's essence in a sentence."""
    spent = f"{found.currency} {money(found.one_time)} were spent once"
    if found.break_even_requests is None:
        return f"nothing is saved, so the {spent.replace(' were', ' that were')} do not come back"
    text = (
        f"net of router, judge and fallback 1,000 requests save {found.currency} "
        f"{money(found.saving_per_1000)}; {spent} on machine time and labels, which "
        f"{found.break_even_requests:,} requests pay back"
    )
    if found.months_to_break_even is None:
        return text
    return f"{text}, in {found.months_to_break_even:.2g} months"


def _incomparable(teacher: Evaluation, candidate: Evaluation) -> list[str]:
    if teacher.engine == "remote":
        # Paid by the token, it runs on no machine of ours.
        return []
    found = []
    names = sorted(
        key
        for key in teacher.hardware.keys() | candidate.hardware.keys()
        if teacher.hardware.get(key) != candidate.hardware.get(key)
    )
    if names:
        found.append(
            "it was measured on other hardware than the teacher ("
            + ", ".join(
                f"{key} {candidate.hardware.get(key)} against {teacher.hardware.get(key)}"
                for key in names
            )
            + "): evaluate both on the machine that is to serve"
        )
    ways = candidate.performance.through, teacher.performance.through
    if ways[0] != ways[1]:
        found.append(
            f"it was asked through the {ways[0]} and the teacher through the {ways[1]}, so that "
            "one price includes HTTP and the other does not: evaluate both again"
        )
    one, other = _asked(candidate.cost.service_level), _asked(teacher.cost.service_level)
    each, others = candidate.performance, teacher.performance
    alike = (each.arrivals_per_second is None) == (others.arrivals_per_second is None)
    # With a service level each is priced at the highest load that keeps to it.
    if one != other or not alike or (one is None and each.concurrency != others.concurrency):
        found.append(
            f"it was measured under another load than the teacher ({_load(candidate)} against "
            f"{_load(teacher)}, p95 {one} ms against {other} ms asked): evaluate both again"
        )
    return found


def _not_cheaper(
    teacher: Evaluation, candidate: Evaluation, ratio: Estimate, config: GateConfig
) -> str:
    text = (
        f"not cheaper: measured on the same machine, it costs {ratio.value:.2f} of the teacher's "
        f"price ({config.confidence:.0%} interval {ratio.low:.2f} to {ratio.high:.2f})"
    )
    sizes = candidate.size_mb, teacher.size_mb
    if sizes[0] is None or not sizes[1]:
        return text
    if sizes[0] >= sizes[1]:
        return f"{text}, and it is no smaller"
    return f"{sizes[0] / sizes[1]:.0%} of the teacher's size, but {text}"


def _notes(candidate: Evaluation, config: GateConfig) -> list[str]:
    asked, notes = config.ledger, []
    if not (asked.router_per_1000 or asked.judge_per_1000 or asked.escalation_share):
        notes.append("no router, judge or fallback is configured, so they cost nothing")
    if not candidate.machine_seconds:
        notes.append("the candidate's lineage tells no machine time, so none is counted")
    if candidate.cost.energy_wh_per_1000_requests is None:
        notes.append("the machine does not tell its energy, so none is reported")
    return notes


def _added(teacher: Evaluation, config: GateConfig) -> float:
    asked = config.ledger
    fallback = asked.escalation_share * _price(teacher)
    return asked.router_per_1000 + asked.judge_per_1000 + fallback


def _load(report: Evaluation) -> str:
    arrivals = report.performance.arrivals_per_second
    if arrivals is not None:
        return f"{arrivals:,.3g} requests arriving a second at random"
    return f"{report.performance.concurrency} requests in flight"


def _asked(level: ServiceLevel | None) -> float | None:
    return level.p95_ms_asked if level else None


def _price(report: Evaluation) -> float:
    return report.cost.per_1000_requests.value


def repeats(report: Evaluation) -> tuple[float, ...]:
    """Prices of single repeats; where a report kept none, its price counts as one repeat."""
    return report.cost.repeats or (_price(report),)
