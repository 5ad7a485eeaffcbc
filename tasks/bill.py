"""What a Bento is made of: a bill of materials in CycloneDX 1.6 (https://cyclonedx.org).

    bill.write(Path("models/package/sbom.cdx.json"), "sentiment", requirements, hashes)

It names every package that the Bento's requirements bring, as installed here, where all are pinned
alike, and every file of the model with its hash.
"""

from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tasks.errors import StillhouseError

FILE = "sbom.cdx.json"
SERVER = "bentoml"
"""What serves a Bento; it is part of no requirements file."""


def write(file: Path, name: str, requirements: Path, model: Mapping[str, str]) -> None:
    """Write the bill of a Bento.

    Args:
        file: what to write.
        name: of the Bento.
        requirements: its requirements.txt.
        model: SHA-256 of the model's files by name.

    Raises:
        StillhouseError: a requirement is not installed.
    """
    root = Component(name=name, type=ComponentType.APPLICATION)
    bom = Bom()
    bom.metadata.component = root
    wanted = [Requirement(SERVER), *_lines(requirements)]
    packages = _packages(wanted)
    parts = {key: _component(found) for key, (found, _) in packages.items()}
    for part in parts.values():
        bom.components.add(part)
    for key, (_, needs) in packages.items():
        bom.register_dependency(parts[key], [parts[other] for other in needs])
    files = [_file(each, digest) for each, digest in model.items()]
    for each in files:
        bom.components.add(each)
    direct = [parts[str(canonicalize_name(each.name))] for each in wanted]
    bom.register_dependency(root, [*direct, *files])
    JsonV1Dot6(bom).output_to_file(str(file), allow_overwrite=True, indent=1)


def _lines(requirements: Path) -> list[Requirement]:
    return [Requirement(line) for line in requirements.read_text(encoding="utf-8").splitlines()]


def _packages(wanted: list[Requirement]) -> dict[str, tuple[Distribution, list[str]]]:
    """Every package that is needed, with the names of those that it needs itself."""
    found: dict[str, tuple[Distribution, list[str]]] = {}
    waiting = list(wanted)
    while waiting:
        each = waiting.pop()
        key = str(canonicalize_name(each.name))
        if key in found:
            continue
        try:
            package = distribution(key)
        except PackageNotFoundError:
            raise StillhouseError(f"{each}: not installed; type `make install`") from None
        needs = list(_needs(package, each.extras))
        found[key] = package, [str(canonicalize_name(other.name)) for other in needs]
        waiting += needs
    return found


def _needs(package: Distribution, extras: set[str]) -> Iterator[Requirement]:
    for line in package.requires or ():
        other = Requirement(line)
        chosen = ({"extra": extra} for extra in ("", *extras))
        if other.marker is None or any(other.marker.evaluate(each) for each in chosen):
            yield other


def _component(package: Distribution) -> Component:
    name, version = str(canonicalize_name(package.metadata["Name"])), package.version
    purl = PackageURL("pypi", name=name, version=version)
    return Component(name=name, version=version, purl=purl, bom_ref=str(purl))


def _file(name: str, digest: str) -> Component:
    return Component(
        name=name,
        type=ComponentType.MACHINE_LEARNING_MODEL if name.endswith(".bin") else ComponentType.FILE,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        bom_ref=f"model/{name}",
    )
