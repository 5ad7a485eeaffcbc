"""Energy counters as Linux lays them out."""

from pathlib import Path

import pynvml
import pytest

from tasks.energy import Meter


def counter(root: Path, name: str, microjoules: int) -> None:
    folder = root / name
    folder.mkdir(exist_ok=True)
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text("10000000000\n")


@pytest.fixture(autouse=True)
def no_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine of the test holds."""

    def absent() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", absent)


def test_packages_are_added_and_their_parts_are_not(tmp_path: Path) -> None:
    for name in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1"):
        counter(tmp_path, name, 0)
    meter = Meter(tmp_path)
    for name in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1"):
        counter(tmp_path, name, 3_600_000_000)
    assert meter.watt_hours() == pytest.approx(2.0)


def test_a_counter_that_started_again_is_understood(tmp_path: Path) -> None:
    counter(tmp_path, "intel-rapl:0", 9_000_000_000)
    meter = Meter(tmp_path)
    counter(tmp_path, "intel-rapl:0", 2_600_000_000)
    assert meter.watt_hours() == pytest.approx(1.0)


def test_a_machine_without_counters_tells_nothing(tmp_path: Path) -> None:
    assert Meter(tmp_path).watt_hours() is None
    assert Meter(tmp_path / "missing").watt_hours() is None


def test_cards_are_added_to_what_processors_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    millijoules = {0: 5_000, 1: 7_000}
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda card: card)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetTotalEnergyConsumption", millijoules.__getitem__)
    counter(tmp_path, "intel-rapl:0", 0)
    meter = Meter(tmp_path)
    millijoules.update({0: 5_000 + 3_600_000, 1: 7_000 + 1_800_000})
    counter(tmp_path, "intel-rapl:0", 900_000_000)
    assert meter.watt_hours() == pytest.approx(1.0 + 0.5 + 0.25)
