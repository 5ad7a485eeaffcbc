"""How much personal data is found, and how often clean text is taken for some.

    .venv/bin/python -m benchmarks.pii

Numbers of every entity are made up by their own rules (check sums, number plans), written in many
formats, put into sentences, most without a word that would give them away. Bare digits that no one
could tell from an order number (a phone number without separators, an SSN) come with such a word.
Found means: all of its letters and digits are masked. Clean are sentences full of other numbers and
of none. Both with exact binomial bounds (Clopper and Pearson 1934). Writes
benchmarks/results/pii.json.
"""

import ipaddress
import json
import random
from collections.abc import Callable, Mapping
from typing import NamedTuple

import phonenumbers
from scipy import stats

from benchmarks.release import RESULTS
from tasks import records, stage
from tasks.errors import StillhouseError
from tasks.prepare.config import ENTITIES, Entity, Pii
from tasks.prepare.recognizers import Recognizers

RESULT = RESULTS / "pii.json"
SAMPLES = 2000
CONFIDENCE = 0.95

SENTENCES = (
    "{}",
    "It was {} after all.",
    "we wrote down {}, then left",
    "I got it from Anna ({}) last week.",
    'She said "{}" and hung up!',
    "Details: {}; please check.",
    "Use {} from now on",
    "[{}] was in the second line",
    "First {}. Then 3 more followed in 2021.",
    "The 2 of us have had {} for 15 years?",
    "no idea why {} is in my inbox...",
    "Bonjour, voici {}, merci",
    "Bitte an {} denken",
    "old={} new=none",
    "{}\nRegards, Sam",
)
GAPS = (" ", "-", "", "\u00a0", "\u2011")
NAMES = ("ana", "j.smith", "o'neil", "mueller_k", "li-wei", "r2d2", "José", "k", "sales+eu")
DOMAINS = (
    *(
        "example.org",
        "mail.example.co.uk",
        "sub-domain.example.com",
        "uni-köln.de",
        "corp.internal",
    ),
    *("x.io", "museum.travel", "xn--bcher-kva.example", "gmail.com", "proton.me"),
)
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "IN", "BR")
ABROAD = ("JP", "AU", "NL", "SE", "PL", "ZA", "MX", "KR")
SSN_HINTS = ("SSN ", "ssn: ", "my social security number is ", "SSN#", "SS# ", "soc. sec. no. ")
AMERICAN = (
    *("({}) {}-{}", "({}){}-{}", "{}-{}-{}", "{}.{}.{}", "{} {} {}", "{}/{}-{}", "{} - {} - {}"),
    *("1-{}-{}-{}", "1 ({}) {}-{}", "+1({}){}-{}", "+1.{}.{}.{}", "001 {} {} {}", "{}-{}-{} x42"),
)
"""Formats of area code, exchange and line."""

IBANS: Mapping[str, str] = {
    "DE": "n" * 18,
    "FR": "n" * 10 + "c" * 11 + "nn",
    "GB": "aaaa" + "n" * 14,
    "ES": "n" * 20,
    "IT": "a" + "n" * 10 + "c" * 12,
    "NL": "aaaa" + "n" * 10,
    "CH": "nnnnn" + "c" * 12,
    "BE": "n" * 12,
    "NO": "n" * 11,
    "PL": "n" * 24,
    "SA": "nn" + "c" * 18,
    "MT": "aaaa" + "n" * 5 + "c" * 18,
    "AT": "n" * 16,
    "SE": "n" * 20,
}
"""What follows the check digits in some countries: n a digit, a a letter, c either."""

CARDS = (
    ("4", 16, (4, 4, 4, 4)),
    ("51", 16, (4, 4, 4, 4)),
    ("55", 16, (4, 4, 4, 4)),
    ("2221", 16, (4, 4, 4, 4)),
    ("34", 15, (4, 6, 5)),
    ("37", 15, (4, 6, 5)),
    ("6011", 16, (4, 4, 4, 4)),
    ("65", 16, (4, 4, 4, 4)),
    ("3528", 16, (4, 4, 4, 4)),
    ("36", 14, (4, 6, 4)),
    ("62", 19, (4, 4, 4, 4, 3)),
    ("4", 13, (13,)),
)
CLEAN = (
    "The film cost ${price} and ran for {small} weeks in {year}.",
    "Order {id10} was shipped on {date} at {time}.",
    "Version {version} replaces {version}; see build {version4}.",
    "ISBN {isbn}, page {small}, {small}nd edition",
    "The plate weighs {decimal} kg and measures {small} x {small} x {small} mm.",
    "Ticket #{id8} was closed after {small} days, {small} hours.",
    "Invoice {id9} of {date}: {price} EUR net, {price} EUR gross",
    "In {year}-{year} the population grew from {big} to {big}.",
    "pi is about {pi}, and e is about 2.718281828459045",
    "commit {sha} fixes the parser, {small} files changed",
    "UUID {uuid} is not unique",
    "GPS {decimal}, -{decimal} is near the lake",
    "log {date}T{time}.{id6}Z level=info took={decimal}ms code={small}",
    "serial number {serial} batch {id6}",
    "scores: {small}-{small}, {small}:{small}, {small}/{small}",
    "call std::vector<int>::size() {small} times; a::b is C++",
    "section {small}.{small}.{small} of the manual says {small}%",
    "unix time {unix}, trace id {id16}",
    "tracking {id12}, parcel {small} of {small}",
    "Write to @{word} or ask at 8 am @ the {word}.",
    "A {word} film, {word} and {word}, with {small} laughs a minute.",
    "I have never seen such a {word}, {word} mess in my life.",
    "{small} out of 10: the {word} second act drags, the third is {word}.",
    "part no. {id6}-{small}, price list of {year}, discount {small} percent",
)
WORDS = ("dull", "grand", "witty", "tender", "noisy", "charming", "stale", "brisk", "loud", "warm")


class Sample(NamedTuple):
    """A text that holds `value`."""

    text: str
    value: str


def main(arguments: list[str]) -> None:
    """Measure, print and write; takes no arguments."""
    if arguments:
        raise StillhouseError("usage: python -m benchmarks.pii (no arguments)")
    result = measure(SAMPLES)
    records.write_report(RESULT, result)
    print(json.dumps(result, indent=2))


def measure(samples: int, seed: int = 0) -> dict[str, object]:
    """Recall of each entity over `samples` texts, and false positives over as many clean ones."""
    pii = Pii()
    known = Recognizers(pii.entities, pii.phone_regions)
    result: dict[str, object] = {}
    for entity in ENTITIES:
        chance = random.Random(f"{seed} {entity}")  # noqa: S311
        made = [sample(entity, chance) for _ in range(samples)]
        result[entity] = _share("recall", sum(found(known, one) for one in made), samples)
    chance = random.Random(f"{seed} clean")  # noqa: S311
    wrong = sum(bool(known.find(clean(chance))) for _ in range(samples))
    return result | {"clean": _share("false_positives", wrong, samples)}


def found(known: Recognizers, one: Sample) -> bool:
    """Whether every letter and digit of the value is masked, under whatever name."""
    start = one.text.index(one.value)
    hidden = {place for span in known.find(one.text) for place in range(span.start, span.end)}
    places = range(start, start + len(one.value))
    return all(place in hidden for place in places if one.text[place].isalnum())


def sample(entity: Entity, chance: random.Random) -> Sample:
    """A value in a sentence."""
    value, hint = MAKERS[entity](chance)
    return Sample(chance.choice(SENTENCES).format(hint + value), value)


def clean(chance: random.Random) -> str:
    """A text without personal data."""
    text = chance.choice(CLEAN)
    while "{" in text:
        name = text[text.index("{") + 1 : text.index("}")]
        text = text.replace(f"{{{name}}}", _number(name, chance), 1)
    return text


def _email(chance: random.Random) -> tuple[str, str]:
    value = f"{chance.choice(NAMES)}{chance.choice(['', '7', '.1984'])}@{chance.choice(DOMAINS)}"
    return chance.choice([value, value, value.upper()]), chance.choice(["", "", "mailto:"])


def _phone(chance: random.Random) -> tuple[str, str]:
    """In the formats that people write, and in those that phonenumbers knows."""
    region = chance.choice(REGIONS if chance.random() < 0.75 else ABROAD)
    number = _valid(region, chance)
    digits = phonenumbers.national_significant_number(number)
    code = number.country_code
    style = phonenumbers.PhoneNumberFormat
    international = phonenumbers.format_number(number, style.INTERNATIONAL)
    if region in ABROAD or chance.random() < 0.4:
        compact = f"+{code}{digits}"
        odd = f"+{code} (0){digits}" if region in {"DE", "GB"} else f"+{code}-{digits}"
        dotted = international.replace(" ", ".").replace("-", ".")
        return chance.choice([international, compact, odd, dotted, dotted.replace(".", "-")]), ""
    national = phonenumbers.format_number(number, style.NATIONAL)
    if chance.random() < 0.2:
        bare = "".join(filter(str.isdigit, national))
        return bare, chance.choice(["call ", "my number is ", "tel. ", "Phone: ", "text me: "])
    if region == "US" and chance.random() < 0.6:
        return chance.choice(AMERICAN).format(digits[:3], digits[3:6], digits[6:]), ""
    gaps = (" ", " ", "-", ".", "\u00a0") if region != "DE" else (" ", "-", "/", "\u00a0")
    return national.replace(" ", chance.choice(gaps)), ""


def _valid(region: str, chance: random.Random) -> phonenumbers.PhoneNumber:
    """A valid number: an example of the region with its last digits changed."""
    kind = chance.choice(
        [phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE]
    )
    example = phonenumbers.example_number_for_type(region, kind)
    if example is None:
        raise ValueError(f"{region} has no numbers of type {kind}")
    while True:
        digits = phonenumbers.national_significant_number(example)
        end = "".join(chance.choices("0123456789", k=5))
        number = phonenumbers.parse(digits[:-5] + end, region)
        if phonenumbers.is_valid_number(number):
            return number


def _card(chance: random.Random) -> tuple[str, str]:
    start, length, groups = chance.choice(CARDS)
    body = start + "".join(chance.choices("0123456789", k=length - len(start) - 1))
    return _grouped(body + _luhn(body), groups, chance.choice((*GAPS, "."))), ""


def _luhn(body: str) -> str:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in body[::-2])
    return str(-(sum(doubled) + sum(map(int, body[-2::-2]))) % 10)


def _iban(chance: random.Random) -> tuple[str, str]:
    country = chance.choice(list(IBANS))
    letters = {"n": "0123456789", "a": "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
    letters["c"] = letters["n"] + letters["a"]
    body = "".join(chance.choice(letters[kind]) for kind in IBANS[country])
    number = int("".join(str(int(letter, 36)) for letter in f"{body}{country}00"))
    value = _grouped(f"{country}{98 - number % 97:02}{body}", (4,) * 9, chance.choice(GAPS))
    return chance.choice([value, value, value, value.lower()]), ""


def _ip(chance: random.Random) -> tuple[str, str]:
    four = str(ipaddress.IPv4Address(chance.getrandbits(32)))
    if chance.random() < 0.5:
        return four, chance.choice(["", "", "", "http://", "host ", "ip=", "::ffff:"])
    groups = [f"{chance.getrandbits(16):x}" for _ in range(8)]
    if chance.random() < 0.6:
        first = chance.randrange(1, 6)
        last = chance.randrange(first + 2, 9)
        groups[first:last] = ["0"] * (last - first)
    address = ipaddress.IPv6Address(":".join(groups))
    value = chance.choice([address.compressed, address.exploded, address.compressed.upper()])
    return value, chance.choice(["", "", "", "from ", "http://["])


def _ssn(chance: random.Random) -> tuple[str, str]:
    area = chance.choice([n for n in range(1, 900) if n != 666])
    parts = f"{area:03}", f"{chance.randrange(1, 100):02}", f"{chance.randrange(1, 10000):04}"
    if chance.random() < 0.2:
        return "".join(parts), chance.choice(SSN_HINTS)
    return chance.choice(["-", "-", " ", ".", "\u2011", "\u00a0"]).join(parts), ""


MAKERS: Mapping[Entity, Callable[[random.Random], tuple[str, str]]] = {
    "EMAIL_ADDRESS": _email,
    "PHONE_NUMBER": _phone,
    "CREDIT_CARD": _card,
    "IBAN_CODE": _iban,
    "IP_ADDRESS": _ip,
    "US_SSN": _ssn,
}
"""A value, and what stands before it."""


def _grouped(text: str, sizes: tuple[int, ...], gap: str) -> str:
    parts, start = [], 0
    for size in sizes:
        parts.append(text[start : start + size])
        start += size
    return gap.join(filter(None, [*parts, text[start:]]))


def _number(name: str, chance: random.Random) -> str:
    """One of the things in braces of `CLEAN`."""
    if name.startswith("id"):
        return str(chance.randrange(1, 10)) + _digits(int(name[2:]) - 1, chance)
    made: dict[str, Callable[[], str]] = {
        "price": lambda: f"{chance.randrange(1, 9999):,}.{_digits(2, chance)}",
        "small": lambda: str(chance.randrange(1, 100)),
        "year": lambda: str(chance.randrange(1950, 2030)),
        "date": lambda: chance.choice(
            ["{y}-{m:02}-{d:02}", "{d:02}/{m:02}/{y}", "{d}.{m}.{y}"]
        ).format(
            y=chance.randrange(1990, 2030), m=chance.randrange(1, 13), d=chance.randrange(1, 29)
        ),
        "time": lambda: (
            f"{chance.randrange(24):02}:{chance.randrange(60):02}:{chance.randrange(60):02}"
        ),
        "version": lambda: ".".join(str(chance.randrange(30)) for _ in range(3)),
        "version4": lambda: ".".join(str(chance.randrange(300)) for _ in range(4)),
        "isbn": lambda: (
            f"978-{chance.randrange(10)}-{_digits(2, chance)}-{_digits(6, chance)}-"
            f"{_digits(1, chance)}"
        ),
        "decimal": lambda: f"{chance.randrange(180)}.{_digits(chance.randrange(1, 7), chance)}",
        "big": lambda: f"{chance.randrange(10**6, 10**9):,}",
        "pi": lambda: "3.141592653589793"[: chance.randrange(4, 18)],
        "sha": lambda: f"{chance.getrandbits(160):040x}"[: chance.choice([7, 12, 40])],
        "uuid": lambda: _grouped(f"{chance.getrandbits(128):032x}", (8, 4, 4, 4, 12), "-"),
        "serial": lambda: "".join(chance.choices("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", k=10)),
        "unix": lambda: str(chance.randrange(1_500_000_000, 1_800_000_000)),
        "word": lambda: chance.choice(WORDS),
    }
    return made[name]()


def _digits(count: int, chance: random.Random) -> str:
    return "".join(chance.choices("0123456789", k=count))


def _share(name: str, count: int, total: int) -> dict[str, object]:
    bounds = stats.binomtest(count, total).proportion_ci(CONFIDENCE, "exact")
    interval = [round(float(bounds.low), 4), round(float(bounds.high), 4)]
    return {name: round(count / total, 4), "interval": interval, "samples": total}


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
