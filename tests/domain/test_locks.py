"""Lists of requirements, read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.locks import MOST_CHARACTERS, Listed, Need, UnreadableLock, read_list, read_pylock, read_requirements, read_uv_lock

A, B = "a" * 64, "b" * 64


def _plain(listed: Listed) -> list[tuple[str, str, set[str]]]:
    return [(need.name.normalized, str(need.versions), set(need.digests)) for need in listed.needs]


# --- requirements.txt -----------------------------------------------------------------------------------------------------------------


def test_a_requirements_file_is_read_as_pip_writes_it() -> None:
    """Pins, ranges, extras, markers, comments, continued lines and hashes mean what they mean to pip."""
    text = f"""\ufeff# a comment, \\
    Alpha_One == 1.0  # behind it
beta[extra]>=2,<3 ; sys_platform == "win32"
gamma==1.5 \\
    --hash=sha256:{A} \\
    --hash sha256:{B.upper()}
delta # bare
"""
    assert _plain(read_requirements(text)) == [
        ("alpha-one", "==1.0", set()),
        ("beta", "<3,>=2", set()),
        ("gamma", "==1.5", {A, B}),
        ("delta", "", set()),
    ]
    assert read_requirements(text).notes == ()


@pytest.mark.parametrize("line", ["-r more.txt", "--requirement more.txt", "--requirement=more.txt", "-rmore.txt", "-r 'more.txt' # it"])
def test_further_lists_are_named_and_not_opened(line: str) -> None:
    """A list that includes another tells its name, in every spelling that pip takes."""
    assert read_requirements(line) == Listed(needs=(), includes=("more.txt",))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--index-url https://elsewhere.example/simple", "--index-url"),
        ("--extra-index-url=https://user:hush@elsewhere.example/", "--extra-index-url"),
        ("-e .", "-e"),
        ("-c constraints.txt", "-c"),
        ("./local/thing", "not a name"),
        ("https://elsewhere.example/a-1.0.tar.gz", "not a name"),
        ("thing @ https://elsewhere.example/a-1.0.tar.gz", "address of its own"),
        ("two words", "not a name"),
        ("${NAME}==1", "not a name"),
    ],
)
def test_what_does_not_come_from_an_index_is_left_out_and_said(line: str, said: str) -> None:
    """Options, addresses and paths are passed over with one sentence that names the line, and never a secret in an address of an index."""
    listed = read_requirements(f"first\n{line}\nlast")
    assert _plain(listed) == [("first", "", set()), ("last", "", set())]
    (note,) = listed.notes
    assert note.startswith("line 2: ")
    assert said in note
    assert "hush" not in note


def test_hashes_that_cannot_be_compared_are_said() -> None:
    """Digests other than SHA-256 are no reason to fetch nothing, but the reader is told."""
    listed = read_requirements(f"thing==1 --hash=sha512:{'c' * 128}")
    assert _plain(listed) == [("thing", "==1", set())]
    assert "not compared" in listed.notes[0]


@pytest.mark.parametrize(
    ("versions", "exact"), [("==1.0", True), ("===1.0", True), ("==1.*", False), (">=1", False), ("", False), ("~=1.0", False)]
)
def test_only_a_pin_is_exact(versions: str, exact: bool) -> None:
    """A version that is named may be fetched though it was yanked; one that is chosen may not."""
    assert read_requirements(f"thing{versions}").needs[0].exact is exact


# --- pylock.toml ----------------------------------------------------------------------------------------------------------------------


def test_a_pylock_is_read() -> None:
    """Files of wheels and sdists are known by name and digest, wherever their names are written; what has no files is said."""
    text = f"""
lock-version = "1.0"
created-by = "somebody"
[[packages]]
name = "thing"
version = "1.0"
wheels = [{{url = "https://files.example/x/thing-1.0-py3-none-any.whl#part", hashes = {{sha256 = "{A}"}}}}]
sdist = {{name = "thing-1.0.tar.gz", url = "https://files.example/y", hashes = {{sha512 = "00"}}}}
[[packages]]
name = "ours"
directory = {{path = "."}}
"""
    listed = read_list("team/pylock.toml", text)
    (need,) = listed.needs
    assert need == Need(
        name=need.name, versions=need.versions, files=(("thing-1.0-py3-none-any.whl", A), ("thing-1.0.tar.gz", "")), digests=frozenset()
    )
    assert (need.name.normalized, str(need.versions), need.exact) == ("thing", "==1.0", True)
    assert listed.notes == ("'ours' comes from elsewhere than an index and is left out",)


@pytest.mark.parametrize(
    "text", ["", "[", 'lock-version = "2.0"', 'lock-version = "1.0"\ncreated-by = "x"', "lock-version = 1", "a = " + "[" * 10_000]
)
def test_what_is_no_pylock_is_refused_in_words(text: str) -> None:
    """Broken TOML, another version, missing keys and mad nesting are refused with a sentence."""
    with pytest.raises(UnreadableLock, match="This is no"):
        read_pylock(text)


# --- uv.lock --------------------------------------------------------------------------------------------------------------------------


def test_a_uv_lock_is_read() -> None:
    """Files of packages from an index are known by name and digest; the project itself is passed over, other sources are said."""
    text = f"""
version = 1
revision = 3
[[package]]
name = "app"
version = "0.1"
source = {{ virtual = "." }}
[[package]]
name = "thing"
version = "1.0+local"
source = {{ registry = "https://index.example/simple" }}
sdist = {{ url = "https://files.example/thing-1.0%2Blocal.tar.gz", hash = "sha256:{B}", size = 5 }}
wheels = [
    {{ url = "https://files.example/a/b/thing-1.0%2Blocal-py3-none-any.whl", hash = "sha256:{A}", size = 3 }},
    {{ url = "https://files.example/..%2F..%5Cevil", hash = "sha256:{A}" }},
]
[[package]]
name = "fork"
version = "1"
source = {{ git = "https://code.example/fork#1" }}
"""
    listed = read_list("uv.lock", text)
    (need,) = listed.needs
    assert need.name.normalized == "thing"
    assert need.files == (("thing-1.0+local-py3-none-any.whl", A), ("thing-1.0+local.tar.gz", B))
    assert listed.notes == ("'fork' comes from elsewhere than an index and is left out",)


@pytest.mark.parametrize("text", ["", "version = 2", "version = '1'", "="])
def test_what_is_no_uv_lock_is_refused_in_words(text: str) -> None:
    """Broken TOML and versions of the format that are not known are refused with a sentence."""
    with pytest.raises(UnreadableLock, match="This is no"):
        read_uv_lock(text)


def test_a_list_is_of_bounded_length() -> None:
    """A list of the greatest length is read, one character more is refused before anything is made of it."""
    line = "# " + "x" * 1000 + "\n"
    text = line * (MOST_CHARACTERS // len(line))
    text += " " * (MOST_CHARACTERS - len(text))
    assert read_list("requirements.txt", text).needs == ()
    with pytest.raises(UnreadableLock, match="too long"):
        read_list("requirements.txt", text + " ")


# --- anything at all ------------------------------------------------------------------------------------------------------------------

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?", fullmatch=True)
PINS = st.tuples(NAMES, st.integers(0, 99), st.frozensets(st.text("0123456789abcdef", min_size=64, max_size=64), max_size=3))


@given(st.lists(PINS, max_size=8), st.sampled_from([" ", " \\\n    ", "\t"]))
def test_what_is_written_is_read(pins: list[tuple[str, int, frozenset[str]]], between: str) -> None:
    """Every list of pins with hashes comes back as it was written, on however many lines."""
    lines = [between.join([f"{name}=={number}", *(f"--hash=sha256:{digest}" for digest in sorted(some))]) for name, number, some in pins]
    expected = [(name, f"=={number}", set(some)) for name, number, some in pins]
    assert _plain(read_requirements("\n".join(lines))) == expected


@given(
    st.text()
    | st.lists(st.sampled_from(["a==1", "\\\n", "#", "-r", " ", "--hash=", "sha256:", "\n", "[x]", ";", "@", "=", "\ufeff"])).map("".join)
)
def test_any_text_is_a_requirements_file(text: str) -> None:
    """Whatever a text holds, reading it gives needs with valid names and sentences, and never fails."""
    listed = read_requirements(text)
    assert all(need.name.normalized for need in listed.needs)
    assert all(note for note in listed.notes)


VALUES = st.recursive(
    st.sampled_from(['"x"', '"1.0"', "1", "true", "{}", "[]", f'"sha256:{A}"', '"https://[/"', '"a/b.whl"', "1979-05-27T07:32:00Z"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda some: f"[{', '.join(some)}]")
        | st.dictionaries(st.sampled_from(["registry", "url", "hash", "hashes", "sha256", "name", "path"]), inner, max_size=3).map(
            lambda some: "{" + ", ".join(f"{key} = {value}" for key, value in some.items()) + "}"
        )
    ),
    max_leaves=8,
)
KEYS = st.dictionaries(st.sampled_from(["name", "version", "source", "wheels", "sdist", "directory", "archive"]), VALUES, max_size=5)


@given(st.lists(KEYS, max_size=3), st.sampled_from(["package", "packages"]))
def test_any_toml_is_a_lock_or_is_refused(packages: list[dict[str, str]], table: str) -> None:
    """Values of wrong types anywhere in a lock are left out or refused in words; nothing else comes of them."""
    text = 'version = 1\nlock-version = "1.0"\ncreated-by = "x"\n'
    for keys in packages:
        text += f"[[{table}]]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
    for read in (read_uv_lock, read_pylock):
        try:
            listed = read(text)
        except UnreadableLock:
            pass
        else:
            assert all("/" not in filename for need in listed.needs for filename, _ in need.files)
