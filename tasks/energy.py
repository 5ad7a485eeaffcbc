"""Energy that processors and graphics cards use, where the machine tells it.

    meter = Meter()
    ...
    meter.watt_hours()      0.42, or None: virtual machines seldom have the counters

Processors: Linux's RAPL counters. /sys/class/powercap/intel-rapl:0/energy_uj counts microjoules of
one package and starts again at max_energy_range_uj; AMD's are listed under the same name. Cards:
NVIDIA's library counts millijoules since its driver was loaded. What only one of the two tells is
told: the processor beside a card is a small part.
"""

from pathlib import Path

import pynvml

ROOT = Path("/sys/class/powercap")
PACKAGES = "intel-rapl:[0-9]*"
COUNTER = "energy_uj"
RANGE = "max_energy_range_uj"
MICROJOULES_PER_WATT_HOUR = 3.6e9
MILLIJOULE = 1000
"""In microjoules."""


class Meter:
    """Counts from its creation on, for less than one turn of the counters (minutes to hours)."""

    def __init__(self, root: Path = ROOT) -> None:
        # A package is intel-rapl:0; its parts, already within it, are intel-rapl:0:0.
        self._packages = [p for p in sorted(root.glob(PACKAGES)) if p.name.count(":") == 1]
        self._start = self._processors()
        self._cards_start = _cards()

    def watt_hours(self) -> float | None:
        """Since creation, of all that tell it; None where there is no counter that may be read."""
        processors, cards = self._processors_used(), _since(self._cards_start, _cards())
        told = [used for used in (processors, cards) if used is not None]
        return sum(told) / MICROJOULES_PER_WATT_HOUR if told else None

    def _processors_used(self) -> int | None:
        now = self._processors()
        if self._start is None or now is None:
            return None
        return sum(
            after - before if after >= before else after - before + _number(package / RANGE)
            for package, before, after in zip(self._packages, self._start, now, strict=True)
        )

    def _processors(self) -> list[int] | None:
        try:
            return [_number(package / COUNTER) for package in self._packages] or None
        except OSError:  # readable by root alone on most machines
            return None


def _number(file: Path) -> int:
    return int(file.read_text(encoding="ascii"))


def _cards() -> list[int] | None:
    """Microjoules of every card; None without a driver, or with cards older than Volta."""
    try:
        pynvml.nvmlInit()
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        counted = [pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) for handle in handles]
    except pynvml.NVMLError:
        return None
    return [MILLIJOULE * int(count) for count in counted] or None


def _since(before: list[int] | None, now: list[int] | None) -> int | None:
    return None if before is None or now is None else sum(now) - sum(before)
