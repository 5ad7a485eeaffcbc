import pytest

from tasks.fetch.sources import HubSource, PathSource, PypiSource, parse


def test_every_form_is_understood() -> None:
    assert parse("pypi:a-b==1.0!x.tar.gz!y/z.txt") == PypiSource(
        "a-b", "1.0", ("x.tar.gz", "y/z.txt")
    )
    assert parse("hf:org/name@abc123") == HubSource("org/name", "abc123", ())
    assert parse("hf:org/name@main!data/a.parquet") == HubSource(
        "org/name", "main", ("data/a.parquet",)
    )
    assert parse("path:/data/a.zip!b.csv") == PathSource("/data/a.zip", ("b.csv",))


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("https://example.org/x", "must be pypi:"),
        ("pypi:pkg!file", "exact version"),
        ("pypi:pkg>=1!file", "exact version"),
        ("pypi:pkg==1.0", "file inside the package"),
        ("hf:org/name", "needs a revision"),
        ("path:", "names no file"),
    ],
)
def test_what_cannot_be_pinned_is_refused_with_the_form_that_can(text: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        parse(text)


@pytest.mark.parametrize("member", ["../x", "a/../../x", "/etc/passwd", "", "a//b", "a\\b"])
def test_members_that_leave_their_archive_are_refused(member: str) -> None:
    with pytest.raises(ValueError, match="plain relative path"):
        parse(f"path:archive.zip!{member}")
