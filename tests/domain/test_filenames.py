"""File names: which wheel or sdist a name says it is, and of what."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from registry.domain.errors import InvalidFileName
from registry.domain.filenames import Kind, file_name
from registry.domain.names import Name
from registry.domain.versions import Version
from tests.strategies import Distribution, distributions, names, versions

WHEEL = "py3-none-any.whl"


@given(distributions())
def test_a_built_file_is_accepted_under_any_spelling(built: Distribution) -> None:
    """A wheel or sdist is accepted under every spelling of the name and version it was built from."""
    found = file_name(built.filename, Name(built.name), Version(built.version))
    assert (found.text, found.kind) == (built.filename, built.kind)


@given(distributions(), names(), versions())
def test_a_file_of_something_else_is_refused(built: Distribution, name: str, version: str) -> None:
    """A file is never accepted under a version it was not built from, nor (its version being equal) under another name."""
    assume(built.kind is Kind.WHEEL)
    same = Name(name) == Name(built.name), Version(version) == Version(built.version)
    assume(not all(same))
    with pytest.raises(InvalidFileName, match="the form's version is" if same[0] else "the form's name is"):
        file_name(built.filename, Name(name), Version(version))


@pytest.mark.parametrize(
    ("text", "name", "version", "kind"),
    [
        (f"my_package-1.0-{WHEEL}", "My.Package", "1.0", Kind.WHEEL),
        (f"My.Package-1.0-{WHEEL}", "my-package", "1.0.0", Kind.WHEEL),
        (f"a-1!2.0-{WHEEL}", "a", "1!2", Kind.WHEEL),
        (f"a-1.0+cu121.x-{WHEEL}", "a", "1.0+CU121-x", Kind.WHEEL),
        (f"a-1.0.post1-7build-{WHEEL}", "a", "1.0-1", Kind.WHEEL),
        ("a-1.0-cp39.cp311-abi3-manylinux_2_17_x86_64.musllinux_1_2_x86_64.whl", "a", "1.0", Kind.WHEEL),
        ("my_package-1.0.tar.gz", "my-package", "1.0", Kind.SDIST),
        ("my-package-1.0.tar.gz", "my.package", "1.0", Kind.SDIST),
        ("my-package-2-1.0.zip", "my-package-2", "1.0", Kind.SDIST),
        ("my-package-1.0-1.tar.gz", "my-package", "1.0.post1", Kind.SDIST),
        ("a-1!2.0+local.1.tar.gz", "a", "1!2.0+local-1", Kind.SDIST),
        ("a-2024.01.05.tar.gz", "a", "2024.1.5", Kind.SDIST),
    ],
)
def test_real_names_are_read(text: str, name: str, version: str, kind: Kind) -> None:
    """Wheels with build tags, epochs and local versions, and sdists of every age, are what they say."""
    assert file_name(text, Name(name), Version(version)).kind is kind


@pytest.mark.parametrize(
    ("text", "name", "version", "problem"),
    [
        (f"other-1.0-{WHEEL}", "a", "1.0", "is of a project called 'other', but the form's name is 'a'"),
        ("other-1.0.tar.gz", "a", "1.0", "is of a project called 'other', but the form's name is 'a'"),
        (f"a-1.1-{WHEEL}", "a", "1.0", "is of version '1.1', but the form's version is '1.0'"),
        ("a-1.1.tar.gz", "a", "1.0", "is of version '1.1', but the form's version is '1.0'"),
        ("my-package-2.0.zip", "my-package", "1.0", "is of version '2.0', but the form's version is '1.0'"),
        ("a.tar.gz", "a", "1.0", "has no version"),
        ("a-latest.tar.gz", "a", "1.0", "cannot be split into name and version"),
        ("a-1.0.whl", "a", "1.0", "is not a wheel name"),
        ("a-1.0-py3-none.whl", "a", "1.0", "is not a wheel name"),
        (f"a__b-1.0-{WHEEL}", "a-b", "1.0", "is not a wheel name"),
        ("a-1.0.egg", "a", "1.0", "is neither a wheel"),
        ("a-1.0.tar.bz2", "a", "1.0", "is neither a wheel"),
        ("a-1.0.exe", "a", "1.0", "is neither a wheel"),
        ("a-1.0.TAR.GZ", "a", "1.0", "is neither a wheel"),
    ],
)
def test_a_refusal_says_which_part_disagrees(text: str, name: str, version: str, problem: str) -> None:
    """The message names the file and the part that is wrong."""
    with pytest.raises(InvalidFileName) as refused:
        file_name(text, Name(name), Version(version))
    assert text in str(refused.value)
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "../a-1.0.tar.gz",
        "a/../a-1.0.tar.gz",
        "/etc/a-1.0.tar.gz",
        "a/a-1.0.tar.gz",
        "..\\a-1.0.tar.gz",
        "C:\\a-1.0.tar.gz",
        "a-1.0\0.tar.gz",
        "a-1.0.tar.gz\0",
        "a-1.0.tar.gz\n",
        "a-1.0\r\nX: y.tar.gz",
        "a%2f-1.0.tar.gz",
        ".a-1.0.tar.gz",
        "-1.0.tar.gz",
        "a-1.0 .tar.gz",
        'a-1.0".tar.gz',
        "a-1.0<b>.tar.gz",
        "\uff41-1.0.tar.gz",
        "a\u2044-1.0.tar.gz",  # FRACTION SLASH
        f"a-1.0-\u212ay3-none-{WHEEL}",
    ],
)
def test_paths_and_strange_characters_are_refused(text: str) -> None:
    """A file name is never a path and never holds what a header, a page or a disk could misread (hardening row 2)."""
    with pytest.raises(InvalidFileName) as refused:
        file_name(text, Name("a"), Version("1.0"))
    assert str(refused.value).isprintable()


def test_the_longest_name_is_accepted_and_one_more_is_not() -> None:
    """A file name of 255 characters is accepted, one of 256 is not."""
    stem, ending = "a" * 244, "-1.0.tar.gz"
    assert len(stem + ending) == 255
    assert file_name(stem + ending, Name(stem), Version("1.0")).kind is Kind.SDIST
    with pytest.raises(InvalidFileName, match="at most 255"):
        file_name("a" + stem + ending, Name("a" + stem), Version("1.0"))


@given(
    st.one_of(
        st.text(max_size=30),
        st.text("a1.-_!+/\\\0", max_size=12).map("{}.tar.gz".format),
        st.text("a1.-_+", max_size=20).map("{}.whl".format),
    )
)
def test_nothing_but_an_invalid_file_name_is_ever_raised(text: str) -> None:
    """Any text is refused as an InvalidFileName or is a plain name (hardening row 2)."""
    try:
        found = file_name(text, Name("a"), Version("1"))
    except InvalidFileName:
        return
    assert found.text == text
    assert not set(text) & set("/\\\0")
    assert text.lower().startswith("a")
