"""Where personal data stand in a text: Presidio's pattern recognizers, without a language model.

    Recognizers(ENTITIES, ("US",)).find("mail jo@example.org") -> [Span(5, 19, "EMAIL_ADDRESS")]

Presidio's recognizers are asked one by one, each only about a text that can hold its entity, which
a quick pattern tells. Where they alone would miss too much or find too much:

- e-mail: any domain with a dot counts, without Presidio's list of top-level domains (which it would
  fetch from the network);
- cards: patterns of the brands' own lengths and groups, checked by Presidio's Luhn sum, as its one
  pattern swallows a number that follows and takes any that starts with 1;
- IBAN: a number ends where its check digits (by Presidio) hold, in either case of letters, as a
  word of four letters behind it hides it from the pattern;
- IP: an IPv6 address may be followed by a colon and holds a digit (std::a::b is none); four numbers
  after "version" or among more are none;
- phone and SSN: bare digits count only behind a word that says what they are, as an order number
  looks the same; versions and decimals are no phone numbers.
"""

import ipaddress
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from presidio_analyzer import Pattern
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    EmailRecognizer,
    IbanRecognizer,
    IpRecognizer,
    PhoneRecognizer,
    UsSsnRecognizer,
)

from tasks.prepare.config import Entity

# It logs a text that it cannot check.
logging.getLogger("presidio-analyzer").setLevel(logging.CRITICAL)

_ALIKE = str.maketrans(
    dict.fromkeys([0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2212], "-")  # hyphens, dashes, minus
    | dict.fromkeys([0xA0, 0x2007, 0x2009, 0x202F], " ")
    | {0xFF10 + digit: str(digit) for digit in range(10)}
)
"""Characters that stand for a plain one, which every one of them is as long as."""

_UPPER = str.maketrans({chr(code): chr(code - 32) for code in range(ord("a"), ord("z") + 1)})

_EMAIL = re.compile("@")
_DIGITS = re.compile(r"\d(?:[^\w\n]{0,3}\d){6,}")
_IBAN = re.compile(r"(?<![A-Z0-9])[A-Z]{2}\d\d(?:[ -]?[A-Z0-9]){11,30}")
_IP = re.compile(r"\d\.\d{1,3}\.\d|:[0-9A-Fa-f]{0,4}:")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{2,39}(?=:(?![\w:])|%)")
_IBAN_LENGTHS = range(15, 35)

_BEFORE = 40
_PHONE_WORDS = re.compile(
    r"\b(?:call\w*|cell\w*|contact|dial|fax\w*|hotline|mobile|ms?isdn|numbers?|phone\w*|reach|ring"
    r"|sms|tel|telephone|text\w*|whatsapp)\b",
    re.IGNORECASE,
)
_NO_PHONE_WORDS = re.compile(
    r"\b(?:account|article|batch|case|code|id|invoice|isbn|item|order|part|reference|sku|serial"
    r"|ticket|tracking)\b",
    re.IGNORECASE,
)
_PHONE_DIGITS = 7
_NO_PHONE = re.compile(
    r"(?![6-9]\d\d(?:\.\d\d){3})\d{1,3}(?:\.\d{1,3}){3}"
    r"|(?:0|[1-9]\d*)\.\d+|[1-9]\d*-\d+|\d{1,2}([./-])\d{1,2}\1\d{4}"
)
"""Four numbers with dots (but not as in Spain), a decimal or two numbers, a date."""
_DOT_DIGIT = re.compile(r"\.\d")
_DOTTED = re.compile(r"\+\d[\d.]{6,}\d")
_SSN_WORDS = re.compile(
    r"\b(?:ssns?|ss ?(?:#|no\b|number)|soc(?:ial)?[ .-]*sec\w*|taxpayer)", re.IGNORECASE
)
_VERSION_WORDS = re.compile(
    r"(?:\bv(?:er(?:sion|\.)?)?|\bbuild|\brelease|\bfirmware|\bdriver|\bsection|\bchapter|\bclause|§)"
    r"[ :#]*$",
    re.IGNORECASE,
)

_CARDS = [
    Pattern(name, rf"(?<![\w.-]){pattern}(?!\w|[.-]\d)", 0.3)
    for name, pattern in {
        "16 digits": r"(?:4\d|5[0-8]|2[2-7]|35|6\d)\d\d([ .-]?)\d{4}\1\d{4}\1\d{4}",
        "15 digits": r"3[47]\d\d([ .-]?)\d{6}\1\d{5}",
        "15 digits in fours": r"3[47]\d\d([ .-])\d{4}\1\d{4}\1\d{3}",
        "14 digits": r"3(?:0[0-5]|[689]\d)\d([ .-]?)\d{6}\1\d{4}",
        "14 digits in fours": r"3(?:0[0-5]|[689]\d)\d([ .-])\d{4}\1\d{4}\1\d\d",
        "13 digits": r"4\d{12}",
        "19 digits": r"(?:4\d|5[06-8]|6\d)\d\d([ .-]?)\d{4}\1\d{4}\1\d{4}\1\d{3}",
        "19 digits in two": r"62\d{4}[ .-]\d{13}",
    }.items()
]


class Span(NamedTuple):
    """Characters from `start` to before `end`."""

    start: int
    end: int
    entity: Entity


class _AnyDomain(EmailRecognizer):
    """Presidio's pattern, without its look at a list of domains."""

    def validate_result(self, pattern_text: str) -> bool:
        return len(pattern_text.rpartition(".")[2]) > 1


class Recognizers:
    """Finds the asked entities."""

    def __init__(self, entities: Sequence[Entity], phone_regions: Sequence[str]) -> None:
        self._email = _AnyDomain()
        self._card = CreditCardRecognizer(
            patterns=_CARDS, replacement_pairs=[("-", ""), (" ", ""), (".", "")]
        )
        self._iban = IbanRecognizer()
        self._ip = IpRecognizer()
        self._phone = PhoneRecognizer(supported_regions=tuple(phone_regions))
        self._ssn = UsSsnRecognizer()
        finders: dict[Entity, tuple[re.Pattern[str], Callable[[str], Iterator[Span]]]] = {
            # The first to find a place keeps it: what has a check sum, or an unmistakable form.
            "EMAIL_ADDRESS": (_EMAIL, self._emails),
            "IBAN_CODE": (_IBAN, self._ibans),
            "CREDIT_CARD": (_DIGITS, self._cards),
            "IP_ADDRESS": (_IP, self._addresses),
            "US_SSN": (_DIGITS, self._ssns),
            "PHONE_NUMBER": (_DIGITS, self._phones),
        }
        self._finders = [finders[entity] for entity in finders if entity in entities]

    def find(self, text: str) -> list[Span]:
        """Spans in order, none over another."""
        plain = text.translate(_ALIKE)
        upper = plain.translate(_UPPER)
        taken: list[Span] = []
        for possible, finder in self._finders:
            if possible.search(upper):
                for span in finder(plain):
                    if all(span.end <= t.start or t.end <= span.start for t in taken):
                        taken.append(span)
        return sorted(taken)

    def _emails(self, text: str) -> Iterator[Span]:
        for found in self._email.analyze(text, ["EMAIL_ADDRESS"]):
            yield Span(found.start, found.end, "EMAIL_ADDRESS")

    def _cards(self, text: str) -> Iterator[Span]:
        for found in self._card.analyze(text, ["CREDIT_CARD"]):
            yield Span(found.start, found.end, "CREDIT_CARD")

    def _ibans(self, text: str) -> Iterator[Span]:
        upper = text.translate(_UPPER)
        for match in _IBAN.finditer(upper):
            places = [place for place in range(*match.span()) if upper[place].isalnum()]
            for length in reversed(_IBAN_LENGTHS):
                if length > len(places):
                    continue
                end = places[length - 1] + 1
                number = "".join(upper[place] for place in places[:length])
                if not upper[end : end + 1].isalnum() and self._iban.validate_result(number):
                    yield Span(match.start(), end, "IBAN_CODE")
                    break

    def _addresses(self, text: str) -> Iterator[Span]:
        for found in self._ip.analyze(text, ["IP_ADDRESS"]):
            before = text[max(0, found.start - _BEFORE) : found.start]
            longer = before.endswith(("+", ".")) or _DOT_DIGIT.match(text, found.end)
            digits = any(map(str.isdigit, text[found.start : found.end]))
            if digits and not longer and not _VERSION_WORDS.search(before):
                yield Span(found.start, found.end, "IP_ADDRESS")
        for match in _IPV6.finditer(text):
            try:
                ipaddress.IPv6Address(match[0])
            except ValueError:
                continue
            yield Span(*match.span(), "IP_ADDRESS")

    def _ssns(self, text: str) -> Iterator[Span]:
        for found in self._ssn.analyze(text, ["US_SSN"]):
            grouped = not text[found.start : found.end].isdigit()
            before = text[max(0, found.start - _BEFORE) : found.start]
            if text[found.start] != "9" and (
                (grouped and found.score >= 0.5) or _SSN_WORDS.search(before)
            ):
                yield Span(found.start, found.end, "US_SSN")

    def _phones(self, text: str) -> Iterator[Span]:
        # phonenumbers knows +33.1 for no country code.
        spaced = _DOTTED.sub(lambda match: match[0].replace(".", " "), text)
        for found in self._phone.analyze(spaced, ["PHONE_NUMBER"]):
            before = text[max(0, found.start - _BEFORE) : found.start]
            number = text[found.start : found.end]
            if _like_a_phone(number, before):
                yield Span(found.start, found.end, "PHONE_NUMBER")


def _like_a_phone(number: str, before: str) -> bool:
    """Whether a valid phone number is not rather a version, a measure or an order number."""
    if sum(map(str.isdigit, number)) < _PHONE_DIGITS or before[-1:] in {".", ","}:
        return False
    if _NO_PHONE.fullmatch(number) or _VERSION_WORDS.search(before):
        return False
    if not number.isdigit():
        return True
    if _NO_PHONE_WORDS.search(before):
        return False
    return number[0] == "0" or _PHONE_WORDS.search(before) is not None
