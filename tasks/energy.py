"""Energy that the processor packages use, where Linux tells it (RAPL).

    meter = Meter()
    ...
    meter.watt_hours()      0.42, or None: virtual machines seldom have the counters

/sys/class/powercap/intel-rapl:0/energy_uj counts microjoules of one package and starts again at
max_energy_range_uj; AMD's processors are listed under the same name.
"""

from pathlib import Path

ROOT = Path("/sys/class/powercap")
PACKAGES = "intel-rapl:[0-9]*"
COUNTER = "energy_uj"
RANGE = "max_energy_range_uj"
MICROJOULES_PER_WATT_HOUR = 3.6e9


class Meter:
    """Counts from its creation on, for less than one turn of the counters (minutes to hours)."""

    def __init__(self, root: Path = ROOT) -> None:
        # A package is intel-rapl:0; its parts, already within it, are intel-rapl:0:0.
        self._packages = [p for p in sorted(root.glob(PACKAGES)) if p.name.count(":") == 1]
        self._start = self._read()

    def watt_hours(self) -> float | None:
        """Since creation, of all packages; None where there is no counter that may be read."""
        now = self._read()
        if self._start is None or now is None:
            return None
        used = [
            after - before if after >= before else after - before + _number(package / RANGE)
            for package, before, after in zip(self._packages, self._start, now, strict=True)
        ]
        return sum(used) / MICROJOULES_PER_WATT_HOUR

    def _read(self) -> list[int] | None:
        try:
            return [_number(package / COUNTER) for package in self._packages] or None
        except OSError:  # readable by root alone on most machines
            return None


def _number(file: Path) -> int:
    return int(file.read_text(encoding="ascii"))
