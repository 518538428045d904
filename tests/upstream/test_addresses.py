"""Which addresses may be connected to, and how addresses and proxies are read."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.errors import InvalidSetting, UpstreamRefused
from registry.domain.tokens import Secret
from registry.upstream.addresses import literal_refusal, refusal
from registry.upstream.origins import Credentials, Origin, Target
from registry.upstream.proxies import Proxies

REFUSED = {
    "loopback": [
        "127.0.0.1",
        "127.255.255.254",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
    ],
    "private": [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "fd00::1",
        "fc00::1",
        "::ffff:10.0.0.1",
        "2002:c0a8:1::",
        "64:ff9b::a00:1",
    ],
    "link-local": ["169.254.0.1", "fe80::1", "fe80::1%eth0", "::ffff:169.254.1.1"],
    "metadata": ["169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "::ffff:169.254.169.254"],
    "unspecified": ["0.0.0.0", "::", "::ffff:0.0.0.0"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "reserved": ["100.64.0.1", "100.127.255.255", "192.88.99.1", "3fff::1", "5f00::1"],
}
PUBLIC = [
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "169.253.255.255",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
]
PUBLIC += ["64:ff9b::808:808", "2002:808:808::1"]


SPELLINGS = [
    "127.0.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "127.1",
    "127.0.0.1.",
    "localhost",
    "localhost.",
    "a.localhost",
]
SPELLINGS += ["::1", "10.1", "0xa9fea9fe", "::ffff:7f00:1", "0"]
NO_ADDRESSES = [
    "",
    "index.test",
    "//index.test/",
    "/simple/",
    "file:///etc/passwd",
    "FILE://index.test/",
    "ftp://index.test/",
    "gopher://x/",
]
NO_ADDRESSES += ["httpx://x/", "http:/index.test/", "http:///x", "http://", "http://:80/", "http://x:0/", "http://x:65536/", "http://x:-1/"]
NO_ADDRESSES += [
    "http://x:1x/",
    "https:x",
    "http://[::1",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[v1.x]/",
    "http://[x]/",
]
NO_ADDRESSES += [
    "http://%31%32%37.0.0.1/",
    "http://a..b/",
    "http://-x/",
    "http://x\\@evil.test/",
    "http://x/\r\nX: y",
    "http://in\tdex.test/",
]
NO_ADDRESSES += ["http://a b/", "http://x/" + "a" * 8200, "http://" + "a" * 254 + "/", "http://\u2024/", "http://a\u3002\u3002b/"]
NO_ADDRESSES += ["http://a_b.test/", "http://" + "a" * 64 + ".test/", "http://a-.test/", "http://xn--a.test/"]
NO_ADDRESSES += ["javascript:alert(1)", "data:text/html,x", "unix:/run/x"]


@pytest.mark.parametrize(("kind", "address"), [(kind, address) for kind, those in REFUSED.items() for address in those])
def test_what_is_not_public_is_refused(kind: str, address: str) -> None:
    """No address of these kinds may be connected to, in whatever form it comes, and the sentence names the kind (hardening row 10)."""
    said = refusal(address, ())
    assert said is not None
    assert kind in said
    assert address not in said


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_may_be_connected_to(address: str) -> None:
    """Public addresses up to the edges of the others pass, also in IPv6 forms of IPv4 addresses."""
    assert refusal(address, ()) is None


@pytest.mark.parametrize("address", ["", "localhost", "1.2.3", "1.2.3.4.5", "0x7f000001", "::g"])
def test_what_is_no_address_is_refused(address: str) -> None:
    """Only a whole address in its usual form counts as one."""
    assert refusal(address, ()) is not None


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("10.1.0.0/16", ["10.1.0.0", "10.1.255.255", "::ffff:10.1.2.3"], ["10.0.255.255", "10.2.0.0", "192.168.0.1", "::1"]),
        ("127.0.0.1/32", ["127.0.0.1"], ["127.0.0.2", "::1"]),
        ("fd00:1::/32", ["fd00:1::1"], ["fd00:2::1", "10.0.0.1"]),
        ("169.254.169.254/32", ["169.254.169.254"], ["169.254.169.253"]),
    ],
)
def test_an_operator_allows_networks(network: str, inside: list[str], outside: list[str]) -> None:
    """What lies in an allowed network passes, whatever its kind, and nothing beside it."""
    allowed = (ipaddress.ip_network(network),)
    assert [refusal(address, allowed) for address in inside] == [None] * len(inside)
    assert None not in [refusal(address, allowed) for address in outside]


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_form(address: ipaddress.IPv4Address) -> None:
    """Whatever IPv6 address carries it, it passes exactly if it passes itself."""
    number = int(address)
    forms = [ipaddress.IPv6Address(start + number) for start in (0xFFFF << 32, 0x64FF9B << 96, 0xFFFF << 48)]
    forms.append(ipaddress.IPv6Address((0x2002 << 112) + (number << 80)))
    direct = refusal(str(address), ())
    assert [refusal(str(form), ()) for form in forms] == [direct] * 4


@given(st.ip_addresses())
def test_nothing_that_is_not_global_passes(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """No address passes that the standard library knows not to be for the world."""
    if refusal(str(address), ()) is None:
        assert address.is_global
        assert not address.is_multicast


@pytest.mark.parametrize("host", SPELLINGS)
def test_spellings_of_private_addresses_are_read_where_others_resolve(host: str) -> None:
    """Decimal, octal, hexadecimal and short spellings hide no address from whoever cannot look names up himself (hardening row 10)."""
    assert literal_refusal(host, ()) is not None


@pytest.mark.parametrize("host", ["index.test", "8.8.8.8", "134744072", "localhost.test", "10.test", "2606:4700::1111"])
def test_names_and_public_addresses_pass_where_others_resolve(host: str) -> None:
    """A name is no address, and a public address is none that is refused."""
    assert literal_refusal(host, ()) is None


# --- addresses of servers ---


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("http://index.test", "http://index.test/"),
        ("HTTPS://Index.Test:443/simple/", "https://index.test/simple/"),
        ("https://index.test:80/", "https://index.test:80/"),
        ("http://user:password@index.test/x#sha256=00", "http://index.test/x"),
        ("http://index.test/a b/é?q=1&r=%20", "http://index.test/a%20b/%C3%A9?q=1&r=%20"),
        ("http://[::FFFF:7f00:1]:8080/", "http://[::ffff:7f00:1]:8080/"),
        ("http://bücher.test/", "http://xn--bcher-kva.test/"),
        ("http://\uff11\uff12\uff17.0.0.1/", "http://127.0.0.1/"),
        ("  http://index.test/\n", "http://index.test/"),
    ],
)
def test_an_address_is_taken_apart_once(url: str, read: str) -> None:
    """Scheme and host in lower case, the scheme's own port left out, userinfo and fragment dropped, the rest escaped."""
    assert Target.read(url).url == read
    assert Target.read(read).url == read


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_what_is_no_http_address_is_refused(url: str) -> None:
    """Anything but a whole http or https address, by its parsed scheme, is `UpstreamRefused` (hardening row 10)."""
    with pytest.raises(UpstreamRefused):
        Target.read(url)


@given(st.text(max_size=60) | st.text(max_size=40).map("http://{}".format) | st.text(max_size=40).map("https://a{}".format))
def test_any_text_is_an_address_or_refused(url: str) -> None:
    """Reading never fails otherwise, and what is read is printable ASCII without userinfo or fragment that reads as itself."""
    try:
        target = Target.read(url)
    except UpstreamRefused:
        return
    assert target.url.isascii()
    assert target.url.isprintable()
    assert not {" ", "#", "\\"} & set(target.url)
    assert Target.read(target.url) == target


@pytest.mark.parametrize(
    ("at", "location", "there"),
    [
        ("https://index.test/simple/a", "/simple/a/", "https://index.test/simple/a/"),
        ("https://index.test/simple/a/", "../b/", "https://index.test/simple/b/"),
        ("https://index.test/a?x=1", "?y=2", "https://index.test/a?y=2"),
        ("http://index.test/a", "//files.test/a#frag", "http://files.test/a"),
        ("http://index.test/a", "https://files.test/a", "https://files.test/a"),
        ("http://index.test/a", "", "http://index.test/a"),
    ],
)
def test_a_location_is_relative_to_where_it_stands(at: str, location: str, there: str) -> None:
    """Locations of all kinds lead where RFC 3986 says, without a fragment (hardening row 19)."""
    assert Target.read(at).redirected(location).url == there


@pytest.mark.parametrize(
    "location", ["http://index.test/", "HTTP://other.test/", "file:///etc/passwd", "FiLe:/etc/passwd", "ftp://x/", "http://[x/"]
)
def test_a_location_leads_to_nothing_less_safe(location: str) -> None:
    """From https no redirect leads to http, and from nowhere to another scheme (hardening row 10)."""
    with pytest.raises(UpstreamRefused):
        Target.read("https://index.test/").redirected(location)


def test_a_secret_in_an_address_stays_out_of_the_sentence() -> None:
    """What is wrong with an address is told without the password that stands in it."""
    with pytest.raises(UpstreamRefused) as refused:
        Target.read("ftp://user:hunter2@index.test/")
    assert "hunter2" not in str(refused.value)
    assert "index.test" in str(refused.value)


def test_credentials_become_headers() -> None:
    """With a user name they are Basic, without one a bearer token; they print as neither."""
    basic = Credentials(username="ann", secret=Secret("pässword"))
    assert basic.header() == "Basic YW5uOnDDpHNzd29yZA=="
    assert Credentials(username=None, secret=Secret("tok")).header() == "Bearer tok"
    assert "pässword" not in repr(basic)


# --- proxies ---


def proxy_for(url: str, environ: dict[str, str]) -> str | None:
    found = Proxies.of(environ).to(Target.read(url).origin)
    return None if found is None else found.origin.netloc


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("http://a.test/", {}, None),
        ("http://a.test/", {"HTTP_PROXY": "http://p.test:3128"}, "p.test:3128"),
        ("https://a.test/", {"HTTP_PROXY": "http://p.test:3128"}, None),
        ("https://a.test/", {"HTTPS_PROXY": "p.test:3128"}, "p.test:3128"),
        ("https://a.test/", {"HTTPS_PROXY": "http://big.test", "https_proxy": "http://small.test"}, "small.test"),
        ("http://a.test/", {"HTTP_PROXY": "http://p.test", "NO_PROXY": "*"}, None),
        ("http://a.test/", {"HTTP_PROXY": "http://p.test", "NO_PROXY": "b.test, A.Test"}, None),
        ("http://x.a.test/", {"HTTP_PROXY": "http://p.test", "NO_PROXY": ".a.test"}, None),
        ("http://xa.test/", {"HTTP_PROXY": "http://p.test", "NO_PROXY": "a.test"}, "p.test"),
        ("http://a.test:81/", {"HTTP_PROXY": "http://p.test", "NO_PROXY": "a.test:80"}, "p.test"),
        ("http://a.test:80/", {"HTTP_PROXY": "http://p.test", "NO_PROXY": "a.test:80"}, None),
        ("http://10.1.2.3/", {"HTTP_PROXY": "http://p.test", "NO_PROXY": "10.0.0.0/8"}, None),
        ("http://11.1.2.3/", {"HTTP_PROXY": "http://p.test", "NO_PROXY": "10.0.0.0/8"}, "p.test"),
        ("http://[fd00::1]/", {"HTTP_PROXY": "http://p.test", "NO_PROXY": "fd00::/8"}, None),
        ("http://a.test/", {"HTTP_PROXY": "http://p.test", "NO_PROXY": ",, ."}, "p.test"),
    ],
)
def test_proxies_are_those_of_the_environment(url: str, environ: dict[str, str], proxy: str | None) -> None:
    """The scheme says which variable counts, and NO_PROXY which hosts are asked directly."""
    assert proxy_for(url, environ) == proxy


@given(st.text(max_size=30), st.sampled_from(["http://a.test/", "http://10.1.2.3:8080/", "http://[fd00::1]/"]))
def test_any_no_proxy_can_be_read(text: str, url: str) -> None:
    """Whatever NO_PROXY says, there is a proxy or none."""
    assert proxy_for(url, {"HTTP_PROXY": "http://p.test", "NO_PROXY": text}) in {"p.test", None}


@pytest.mark.parametrize("url", ["socks5://user:hunter2@p.test:1080", "http://user:hunter2@:80", "http://p.test:x/hunter2"])
def test_a_proxy_that_cannot_be_used_is_told_without_its_password(url: str) -> None:
    """Other proxies than http and https are refused in a sentence that names the variable and repeats nothing."""
    with pytest.raises(InvalidSetting) as refused:
        Proxies.of({"HTTPS_PROXY": url})
    assert "HTTPS_PROXY" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_proxy_may_have_a_password() -> None:
    """Userinfo of a proxy's address is for that proxy, percent-decoded."""
    proxy = Proxies.of({"HTTP_PROXY": "http://ann:p%40ss@p.test"}).http
    assert proxy is not None
    assert proxy.origin == Origin(scheme="http", host="p.test", port=80)
    assert proxy.credentials == Credentials(username="ann", secret=Secret("p@ss"))
