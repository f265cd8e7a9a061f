"""What the address of a broker may be, and what of it is shown."""

from __future__ import annotations

import ssl

import pytest
from omruntime_celery.address import read_address, shown
from omruntime_celery.broker import app_for

from omruntime.errors import BackendNotInstalled, BackendUnavailable, OmegaRuntimeError


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("redis://h", "celery+redis://h:6379/0"),
        ("celery+redis://:secret@h:6379/0?visibility_timeout=7", "celery+redis://h:6379/0"),
        ("redis://", "celery+redis://localhost:6379/0"),
        ("rediss://me:secret@h/2?ssl_cert_reqs=none", "celery+rediss://h:6379/2"),
        ("redis://:a@h1:1/0?x=1;redis://:b@h2", "celery+redis://h1:1/0;redis://h2:6379/0"),
        ("sentinel://:a@h1;sentinel://h2:7/0?master_name=m", "celery+sentinel://h1:26379/0;sentinel://h2:7/0"),
        ("redis+socket://:secret@/tmp/r.sock", "celery+redis+socket://:***@/tmp/r.sock"),
        ("amqp://h", "celery+amqp://h:5672//"),
        ("pyamqp://me:secret@h//", "celery+amqp://h:5672//"),
        ("amqps://me:secret@h/models", "celery+amqps://h:5671/models"),
    ],
)
def test_one_broker_is_shown_in_one_way_and_without_credentials(given: str, seen: str) -> None:
    assert shown(given) == seen


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ("celery+reddis://:secret@h", BackendNotInstalled, "did you mean redis://"),
        ("memory://", BackendNotInstalled, "works with Redis"),
        ("redis://h;sqs://secret@h", BackendNotInstalled, "'sqs'"),
        ("127.0.0.1:6379", BackendUnavailable, "no URL"),
        ("redis://:sec/ret@h:1/0", BackendUnavailable, "%2F"),
        ("redis://:sec#ret@h:1/0", BackendUnavailable, "%23"),
        ("redis://h:port/0", BackendUnavailable, "cannot be read"),
        ("redis://:secret@h/zero", BackendUnavailable, "names the database 'zero'"),
        ("rediss://:secret@h?ssl_cert_reqs=perhaps", BackendUnavailable, "required, optional or none"),
    ],
)
def test_an_address_that_is_none_is_refused_and_its_password_not_told(
    given: str, kind: type[OmegaRuntimeError], said: str
) -> None:
    with pytest.raises(kind) as refused:
        read_address(given)
    assert said in str(refused.value)
    assert "sec" not in str(refused.value)


def test_what_follows_a_question_mark_are_options_of_the_transport() -> None:
    broker = read_address('redis://h?visibility_timeout=7&priority_steps=[0,3]&global_keyprefix=a"b')
    assert broker.options == {"visibility_timeout": 7, "priority_steps": [0, 3], "global_keyprefix": 'a"b'}
    assert broker.url == "redis://h"
    assert not broker.tls


def test_a_secured_connection_checks_certificates_unless_it_is_told_not_to() -> None:
    assert read_address("rediss://h").tls == {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    assert read_address("rediss://h?ssl_cert_reqs=none&ssl_check_hostname=false").tls == {
        "ssl_cert_reqs": ssl.CERT_NONE,
        "ssl_check_hostname": False,
    }
    assert read_address("amqps://h?ssl_ca_certs=/ca.pem").tls == {
        "ca_certs": "/ca.pem",
        "cert_reqs": ssl.CERT_REQUIRED,
        "server_hostname": None,
    }
    assert "server_hostname" not in read_address("amqps://h?ssl_check_hostname=false").tls
    assert app_for("sentinel://h?master_name=m&ssl_ca_certs=/ca.pem").conf.broker_use_ssl == {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_ca_certs": "/ca.pem",
    }


def test_settings_of_the_user_come_before_ours_and_must_be_settings() -> None:
    conf = {"broker_transport_options": {"socket_timeout": 1}, "broker_pool_limit": 3}
    app = app_for("redis://h?socket_timeout=2&health_check_interval=5", conf)
    assert app.conf.broker_transport_options["socket_timeout"] == 1
    assert app.conf.broker_transport_options["health_check_interval"] == 5
    assert app.conf.broker_pool_limit == 3
    with pytest.raises(TypeError, match="did you mean broker_pool_limit"):
        app_for("redis://h", {"broker_pol_limit": 3})


def test_the_environment_of_other_celery_apps_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND"):
        monkeypatch.setenv(name, "redis://elsewhere:1/0")
    app = app_for("redis://here:2/0")
    for connection in (app.connection(), app.connection_for_read(), app.connection_for_write()):
        assert (connection.hostname, connection.port) == ("here", 2)
    assert app.backend.as_uri() == "disabled://"
