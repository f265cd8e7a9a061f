"""Logins of stores: taken off what is shown and sent, and found again by whoever connects."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omruntime import logins
from omruntime.errors import StoreUnavailable
from omruntime.logins import known, login_for, parted, remember, same_login, take, without_login
from omruntime.store import open_store

PLAIN = "mongodb://host/db"
FULL = "mongodb://ann:s3cret@host/db"


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    before = dict(logins._register)
    logins._register.clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OMRUNTIME_STORE", raising=False)
    yield
    logins._register.clear()
    take(before)


class TestWithoutLogin:
    @pytest.mark.parametrize(
        ("url", "plain"),
        [
            (PLAIN, PLAIN),
            (FULL, PLAIN),
            ("mongodb://ann@host/db", PLAIN),
            ("mongodb://ann:@host/db", PLAIN),
            ("MongoDB://ann:s3cret@HOST:27017/db", PLAIN),
            ("mongodb://host:27017/DB", "mongodb://host/DB"),
            ("mongodb://host:27018/db", "mongodb://host:27018/db"),
            ("mongodb://host/", "mongodb://host"),
            ("mongodb://host", "mongodb://host"),
            ("mongodb://host?tls=true", "mongodb://host/?tls=true"),
            ("mongodb://[::1]:27017/db", "mongodb://[::1]/db"),
            ("mongodb://ann:s3cret@[FE80::1]:5/db", "mongodb://[fe80::1]:5/db"),
            ("mongodb://ann:s3cret@%2Ftmp%2FA.sock/db", "mongodb://%2Ftmp%2FA.sock/db"),
            ("mongodb://ann:s3cret@B:27017,a:27018/db", "mongodb://b,a:27018/db"),
            ("mongodb+srv://ann:s3cret@Cluster.example.net/db?w=1", "mongodb+srv://cluster.example.net/db?w=1"),
        ],
    )
    def test_what_is_left(self, url: str, plain: str) -> None:
        assert without_login(url) == plain

    @pytest.mark.parametrize(
        "secret",
        [
            "tlsCertificateKeyFilePassword=s3cret",
            "TLSCertificateKeyFilePassword=s3cret",
            "authMechanismProperties=AWS_SESSION_TOKEN:s3cret",
            "authmechanismproperties=SERVICE_NAME:x,AWS_SESSION_TOKEN%3As3cret",
            "proxyPassword=s3cret",
            "proxy%50assword=s3cret",
            "sslPEMPassphrase=s3cret",
        ],
    )
    def test_secret_options_are_a_part_of_the_login(self, secret: str) -> None:
        url = f"mongodb://host/db?tls=true&{secret}&authSource=admin"
        assert without_login(url) == "mongodb://host/db?authSource=admin&tls=true"
        assert login_for(url) == url

    def test_the_other_options_are_not(self) -> None:
        options = "authMechanism=PLAIN&authSource=admin&replicaSet=rs0&tls=true&tlsCertificateKeyFile=%2Fa.pem"
        assert without_login(f"mongodb://ann:s3cret@host/db?{options}") == f"mongodb://host/db?{options}"

    def test_values_of_one_option_stay_in_their_order(self) -> None:
        url = "mongodb://host/db?w=1;readPreferenceTags=dc:ny;readPreferenceTags=dc:la"
        assert without_login(url) == "mongodb://host/db?readPreferenceTags=dc:ny&readPreferenceTags=dc:la&w=1"

    @pytest.mark.parametrize(
        "url", ["sqlite:////a/b?key=1", "redis://u:p@h/0", "/a/path", "", "mongodb:/h", "mongo://u:p@h/d"]
    )
    def test_other_schemes_are_left_alone(self, url: str) -> None:
        assert without_login(url) == remember(url) == login_for(url) == url
        assert not logins._register

    @given(user=st.text(min_size=1), password=st.text())
    def test_whatever_user_and_password_are(self, user: str, password: str) -> None:
        name, word = (quote(each.encode("utf-8", "surrogatepass"), safe="") for each in (user, password))
        assert without_login(f"mongodb://{name}:{word}@host/db?w=1") == "mongodb://host/db?w=1"

    @given(st.text(alphabet="abABz019:/@?#&;=%[],. _-", max_size=30))
    def test_it_is_refused_or_without_login_and_the_same_again(self, rest: str) -> None:
        try:
            plain = without_login(f"mongodb://{rest}")
        except StoreUnavailable:
            return
        assert "@" not in plain
        assert without_login(plain) == plain


class TestUnreadable:
    @pytest.mark.parametrize(
        "url",
        [
            "mongodb://ann:s3c/ret@host/db",
            "mongodb://ann:12/s3cret@host/db",
            "mongodb://ann:s3c?ret@host/db",
            "mongodb://ann:12?s3cret=@host/db",
            "mongodb://ann:s3c@ret@host/db",
            "mongodb://ann:s3c:ret@host/db",
            "mongodb://ann:s3c%ret@host/db",
            "mongodb://ann:s3c ret@host:port/db",
            "mongodb://ann:s3c;ret@host:port/db",
            "mongodb://:s3cret@host/db",
            "mongodb://@host/db",
            "mongodb://ann:s3cret@/db",
            "mongodb://ann:s3cret@a,,b/db",
            "mongodb://",
            "mongodb://host/db?s3cretToken=s3c&tls",
            "mongodb://host/db?=1",
        ],
    )
    def test_it_says_what_to_write_and_shows_no_password(self, url: str) -> None:
        for reads in (without_login, remember, login_for):
            with pytest.raises(StoreUnavailable, match="mongodb://user:password@host:port/database") as caught:
                reads(url)
            assert "s3c" not in str(caught.value).replace("s3cretToken", "")
            assert "ret@" not in str(caught.value)
        assert not logins._register


class TestRegister:
    def test_a_login_is_found_by_the_url_without_it(self) -> None:
        assert login_for(PLAIN) == PLAIN
        assert remember(FULL) == PLAIN
        assert login_for(PLAIN) == FULL
        assert login_for("mongodb://other/db") == "mongodb://other/db"

    def test_a_url_without_one_takes_none_away(self) -> None:
        remember(FULL)
        assert remember(PLAIN) == PLAIN
        assert login_for(PLAIN) == FULL

    def test_a_url_with_one_is_used_as_it_is(self) -> None:
        remember(FULL)
        assert login_for("mongodb://bob:other@host/db") == "mongodb://bob:other@host/db"

    def test_the_last_one_remembered_holds(self) -> None:
        remember(FULL)
        remember("mongodb://ann:changed@host/db")
        assert login_for(PLAIN) == "mongodb://ann:changed@host/db"
        assert len(logins._register) == 1

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("host/db?tls=true&w=1", "HOST:27017/db?w=1&tls=true"),
            ("a,b:1/db?replicaSet=rs", "b:1,a:27017/db?replicaset=rs"),
        ],
    )
    def test_two_spellings_are_one_entry(self, one: str, other: str) -> None:
        remember(f"mongodb://ann:s3cret@{one}")
        assert login_for(f"mongodb://{other}") == f"mongodb://ann:s3cret@{one}"
        remember(f"mongodb://ann:s3cret@{other}")
        assert list(logins._register.values()) == [f"mongodb://ann:s3cret@{other}"]

    @pytest.mark.parametrize("other", ["host/Db", "host:1/db", "host/db?authSource=x", "host/db?appName=A"])
    def test_two_stores_are_two(self, other: str) -> None:
        remember(FULL)
        assert login_for(f"mongodb://{other}") == f"mongodb://{other}"

    def test_what_is_known_is_taken_elsewhere(self) -> None:
        remember(FULL)
        remember("mongodb://bob:p@b/db?tls=true")
        handed = known(PLAIN, "mongodb://HOST:27017/db", "mongodb://other/db", "sqlite:////a")
        assert handed == {PLAIN: FULL}
        logins._register.clear()
        take(handed)
        assert login_for(PLAIN) == FULL
        assert not known("mongodb://b/db?tls=true")

    def test_a_login_in_a_url_is_known_by_it(self) -> None:
        assert known(FULL) == {PLAIN: FULL}

    def test_a_forked_process_has_it(self) -> None:
        remember(FULL)
        child = os.fork()
        if child == 0:
            os._exit(0 if login_for(PLAIN) == FULL else 1)
        assert os.waitpid(child, 0)[1] == 0


class TestConfigured:
    def test_the_environment_is_asked_last(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OMRUNTIME_STORE", "mongodb://env:word@HOST/db")
        assert login_for(PLAIN) == "mongodb://env:word@HOST/db"
        assert login_for("mongodb://host/other") == "mongodb://host/other"
        remember(FULL)
        assert login_for(PLAIN) == FULL

    def test_so_is_the_project_s_file(self, tmp_path: Path) -> None:
        (tmp_path / "omruntime.toml").write_text('store = "mongodb://toml:word@host/db"\n')
        assert login_for(PLAIN) == "mongodb://toml:word@host/db"

    def test_one_without_login_changes_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OMRUNTIME_STORE", "mongodb://host:27017/db")
        assert login_for(PLAIN) == PLAIN

    def test_one_that_cannot_be_read_is_told_of(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OMRUNTIME_STORE", "mongodb://ann:s3c/ret@host/db")
        with pytest.raises(StoreUnavailable) as caught:
            login_for(PLAIN)
        assert "s3c" not in str(caught.value)


class TestSameLogin:
    @pytest.mark.parametrize(
        "other", ["mongodb://ann:s3cret@HOST:27017/db", "mongodb://%61nn:s3cret@host/db?tls=true"]
    )
    def test_however_it_is_spelled(self, other: str) -> None:
        assert same_login(FULL, other)

    @pytest.mark.parametrize(
        "other",
        [
            PLAIN,
            "mongodb://bob:s3cret@host/db",
            "mongodb://ann:S3cret@host/db",
            f"{FULL}?proxyPassword=x",
            "sqlite:////a",
        ],
    )
    def test_another_one(self, other: str) -> None:
        assert not same_login(FULL, other)
        assert not same_login(other, FULL)

    def test_other_stores_have_none(self) -> None:
        assert same_login("sqlite:////a", "sqlite:////b")


class TestParted:
    def test_the_login_of_the_environment_goes_another_way(self) -> None:
        given = {"OMRUNTIME_STORE": FULL, "OTHER": "mongodb://x:y@z/d"}
        assert parted(given) == ({**given, "OMRUNTIME_STORE": PLAIN}, {PLAIN: FULL})
        assert given["OMRUNTIME_STORE"] == FULL

    def test_one_that_is_remembered_goes_too(self) -> None:
        remember(FULL)
        assert parted({"OMRUNTIME_STORE": PLAIN}) == ({"OMRUNTIME_STORE": PLAIN}, {PLAIN: FULL})

    @pytest.mark.parametrize("given", [{}, {"OMRUNTIME_STORE": ""}, {"OMRUNTIME_STORE": "sqlite:////a:b@c"}])
    def test_where_there_is_none_nothing_changes(self, given: dict[str, str]) -> None:
        assert parted(given) == (given, {})

    def test_one_that_cannot_be_read_is_masked(self) -> None:
        environment, logins = parted({"OMRUNTIME_STORE": "mongodb://ann:s3c/ret@host/db"})
        assert environment == {"OMRUNTIME_STORE": "mongodb://***@host/db"}
        assert logins == {}


@pytest.mark.parametrize(
    "option",
    [
        "tls=yes",
        "serverSelectionTimeoutMS=soon",
        "replicaset_=a",
        "authMechanism=OTHER",
        "authMechanismProperties=s3c",
        "tls=true&tlsCertificateKeyFile=/no/such.pem&tlsCertificateKeyFilePassword=s3c",
    ],
)
def test_an_option_that_cannot_be_read_is_not_left_out(option: str) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened") as caught:
        open_store(f"mongodb://ann:s3cret@127.0.0.1:1/db?{option}")
    assert "s3c" not in str(caught.value) + str(caught.value.__cause__)
