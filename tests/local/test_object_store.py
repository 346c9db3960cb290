"""The embedded object store, by its real processes: signatures count, links open, objects survive."""

import datetime as dt
import os
import signal
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from pydantic import SecretStr

from seedtest.errors import StackError
from seedtest.local.addresses import external_addresses
from seedtest.local.choosing import chosen_servers, wanted_servers
from seedtest.local.environment import with_inherited
from seedtest.local.folder import StackFolder
from seedtest.local.object_store import AccessKeys, access_keys
from seedtest.local.servers import StoreServers
from seedtest.local.state import load_state
from seedtest.local.supervision.processes import marked_processes
from seedtest.local.supervision.programs import OBJECT_STORE, REPORTS
from seedtest.report_keys import report_key
from seedtest.settings import Settings
from tests.local.conftest import Stack

BUCKET = "seedtest-reports"
MONDAY = dt.date(2026, 3, 2)
BODY = "<p>보고서</p>".encode()


def store_of(made: Stack) -> StoreServers:
    state = load_state(made.folder)
    assert state is not None
    assert state.servers.store is not None
    return state.servers.store


def s3_client(made: Stack, keys: AccessKeys | None = None) -> Any:
    keys = keys or access_keys(made.folder)
    return boto3.session.Session().client(
        "s3",
        endpoint_url=store_of(made).url,
        region_name="ap-northeast-2",
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key.get_secret_value(),
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


def put(made: Stack, key: str, body: bytes = BODY) -> None:
    s3_client(made).put_object(Bucket=BUCKET, Key=key, Body=body, ContentType="text/html; charset=utf-8")


def presigned(made: Stack, key: str, lifetime_secs: int = 60) -> str:
    parameters = {"Bucket": BUCKET, "Key": key}
    link: str = s3_client(made).generate_presigned_url(
        "get_object", Params=parameters, ExpiresIn=lifetime_secs
    )
    return link


def wait_until(condition: Callable[[], bool], patience_secs: float = 20) -> None:
    deadline = time.monotonic() + patience_secs
    while not condition():
        assert time.monotonic() < deadline, "it has not come about"
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        httpx.get(url)
    except httpx.TransportError:
        return False
    return True


def test_a_signed_link_opens_until_it_expires_and_not_when_tampered_with(running: Stack) -> None:
    put(running, "a.html")
    put(running, "b.html")
    link = presigned(running, "a.html")
    assert httpx.get(link).content == BODY
    assert httpx.get(link.replace("a.html", "b.html")).status_code == HTTPStatus.FORBIDDEN
    assert httpx.get(link.replace("Expires=60", "Expires=600")).status_code == HTTPStatus.FORBIDDEN
    assert httpx.put(link, content=b"forged").status_code == HTTPStatus.FORBIDDEN
    brief = presigned(running, "a.html", lifetime_secs=1)
    wait_until(lambda: httpx.get(brief).is_client_error)
    assert "AccessDenied" in httpx.get(brief).text
    assert httpx.get(link).content == BODY


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_without_a_signature_nothing_is_read_written_or_deleted(running: Stack, method: str) -> None:
    put(running, "a.html")
    answer = httpx.request(method, f"{store_of(running).url}/{BUCKET}/a.html")
    assert answer.is_client_error
    assert s3_client(running).get_object(Bucket=BUCKET, Key="a.html")["Body"].read() == BODY


def test_another_key_pair_is_refused(running: Stack) -> None:
    ours = access_keys(running.folder)
    forged = ours.model_copy(update={"secret_access_key": SecretStr("guessed")})
    for keys in (forged, AccessKeys.generate()):
        with pytest.raises(ClientError, match="403"):
            s3_client(running, keys).head_bucket(Bucket=BUCKET)


def test_links_open_in_a_browser_unsigned_and_change_nothing(running: Stack) -> None:
    base = store_of(running).links_url
    put(running, "reports/u/2026-03-02/report.html")
    opened = httpx.get(f"{base}/reports/u/2026-03-02/report.html")
    assert (opened.status_code, opened.content) == (HTTPStatus.OK, BODY)
    assert opened.headers["content-type"] == "text/html; charset=utf-8"
    put(running, "reports/u/2026-03-02/report.html", b"anew")
    assert httpx.get(f"{base}/reports/u/2026-03-02/report.html").text == "anew"
    for method in ("PUT", "DELETE", "POST"):
        answer = httpx.request(method, f"{base}/reports/u/2026-03-02/report.html", content=b"forged")
        assert answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    for folder in ("", "reports/", "reports/u/"):
        assert httpx.get(f"{base}/{folder}").status_code == HTTPStatus.NOT_FOUND


USER_IDS = ["김철수", "a b", "a/b", "100%", "a+b", "😀", "..", ".", "a?b#c", "a\\b", "%2F", "<script>"]


@pytest.mark.heavy
@pytest.mark.parametrize("user_id", USER_IDS)
def test_a_report_is_found_again_whatever_its_learner_is_called(running: Stack, user_id: str) -> None:
    key = report_key(user_id, MONDAY, "html")
    put(running, key, user_id.encode())
    found = s3_client(running).list_objects_v2(Bucket=BUCKET, Prefix=key)
    assert [entry["Key"] for entry in found["Contents"]] == [key]
    for link in (presigned(running, key), f"{store_of(running).links_url}/{quote(key)}"):
        assert httpx.get(link).content == user_id.encode()


def test_writes_at_once_leave_one_of_them_whole(running: Stack) -> None:
    bodies = [bytes([number]) * 200_000 for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda body: put(running, "contended", body), bodies))
    assert s3_client(running).get_object(Bucket=BUCKET, Key="contended")["Body"].read() in bodies


def test_objects_and_links_outlive_killed_servers(running: Stack) -> None:
    put(running, "kept.html")
    link, servers = presigned(running, "kept.html"), store_of(running)
    before = {name: running.pid(name) for name in (OBJECT_STORE, REPORTS)}
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(running.pid(name) not in {0, before[name]} for name in before))
    wait_until(lambda: answers(servers.url) and answers(servers.links_url))
    for opened in (httpx.get(link), httpx.get(f"{servers.links_url}/kept.html")):
        assert opened.content == BODY
        assert opened.headers["content-type"] == "text/html; charset=utf-8"


def test_the_keys_are_in_no_command_line_log_or_configuration(running: Stack) -> None:
    path = running.folder.keys / "object-store.json"
    secret = access_keys(running.folder).secret_access_key.get_secret_value()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert all(secret not in " ".join(one.cmdline()) for one in marked_processes(running.folder.home))
    elsewhere = [*running.folder.run.glob("*.*"), *running.folder.logs.iterdir()]
    texts = [file.read_bytes() for file in elsewhere if file.is_file()]
    assert texts
    assert all(secret.encode() not in text for text in texts)


def test_keys_that_cannot_be_read_are_named_and_not_quoted(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path)
    made = access_keys(folder)
    assert access_keys(folder) == made
    assert made.secret_access_key.get_secret_value() not in repr(made)
    (folder.keys / "object-store.json").write_text('{"access_key_id": "planted-id"')
    with pytest.raises(StackError, match=r"object-store\.json cannot be used") as raised:
        access_keys(folder)
    assert "planted-id" not in str(raised.value)


def test_a_port_that_somebody_has_taken_is_left_and_the_others_kept(running: Stack) -> None:
    # Its servers listen, so that for another start all its ports are taken.
    state = load_state(running.folder)
    assert state is not None
    unset = Settings(seedtest_home=running.settings.home)
    external = external_addresses(unset, state)
    with chosen_servers(unset, external, state.servers) as chosen:
        assert chosen.store is not None
        taken = {state.servers.prefect.port, state.servers.api_port, store_of(running).port}
        assert {chosen.prefect.port, chosen.api_port, chosen.store.port}.isdisjoint(taken)
        with chosen_servers(unset, external, chosen) as second:
            assert second.api_port != chosen.api_port
    with chosen_servers(unset, external, chosen) as again:
        assert again == chosen
    assert wanted_servers(unset, external, state.servers) == state.servers


def test_an_external_store_leaves_the_embedded_one_off(running: Stack) -> None:
    state = load_state(running.folder)
    assert state is not None
    own = Settings(seedtest_home=running.settings.home, s3_endpoint_url=store_of(running).url + "/")
    assert external_addresses(own, state).s3_endpoint_url is None
    theirs = Settings(seedtest_home=running.settings.home, s3_endpoint_url="https://s3.example.com")
    external = external_addresses(theirs, state)
    wanted = wanted_servers(theirs, external, state.servers)
    assert wanted is not None
    assert wanted.store is None
    with chosen_servers(theirs, external, state.servers) as chosen:
        assert chosen.store is None
    # Back from an external store there are no ports yet: the stack chooses them as it restarts.
    assert wanted_servers(own, external_addresses(own, state), wanted) is None


def test_keys_of_the_users_own_stay_out_of_a_stack_with_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "theirs")
    monkeypatch.setenv("RCLONE_AUTH_KEY", "theirs")
    own = with_inherited({"AWS_REGION": "ours"}, own_server=True, own_store=True)
    assert {name for name in own if name.startswith(("AWS_", "RCLONE_"))} == {"AWS_REGION"}
    assert with_inherited({}, own_server=True, own_store=False)["AWS_SESSION_TOKEN"] == "theirs"
