"""Development tokens: from a key of this machine, good for its own API and no other."""

import datetime as dt
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import pytest

from seedtest.api.auth.caller import Caller
from seedtest.api.auth.keys import read_key_set
from seedtest.api.auth.metrics import AuthMetrics
from seedtest.api.auth.tokens import JwtConfig, JwtVerifier
from seedtest.api.metrics import HttpMetrics
from seedtest.errors import RequestError, StackError
from seedtest.local.development_keys import (
    DEVELOPMENT_ISSUER,
    development_key,
    key_set_file,
    private_key_file,
)
from seedtest.settings import Settings

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def verifier(issuer: str, public_pem: str) -> JwtVerifier:
    config = JwtConfig.from_settings(Settings(jwt_iss=issuer, jwt_public_key=public_pem))
    return JwtVerifier(config, AuthMetrics(HttpMetrics().registry))


def test_the_key_is_made_once_and_is_this_users_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    key = development_key(home)
    assert development_key(home).public_pem == key.public_pem
    assert stat.S_IMODE(private_key_file(home).stat().st_mode) == 0o600
    assert stat.S_IMODE(private_key_file(home).parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in private_key_file(home).parent.iterdir()) == [
        "development.pem",
        "jwks.json",
    ]


def test_processes_that_make_it_at_once_share_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as makers:
        made = set(makers.map(lambda _: development_key(tmp_path).public_pem, range(8)))
    assert len(made) == 1


def test_the_key_set_beside_it_is_public_and_follows_the_key(tmp_path: Path) -> None:
    for _ in range(2):
        key = development_key(tmp_path)
        published = read_key_set(key_set_file(tmp_path).read_bytes())
        assert published == {key.key_id: key.private_key.public_key()}
        (member,) = json.loads(key_set_file(tmp_path).read_text())["keys"]
        assert not member.keys() & {"d", "p", "q", "dp", "dq", "qi"}
        private_key_file(tmp_path).unlink()


@pytest.mark.anyio
async def test_its_tokens_are_good_for_the_stack_and_nowhere_else(tmp_path: Path) -> None:
    key = development_key(tmp_path)
    token = key.token("anna", ["analysis:run", "reports:view"], HOUR, audience="seedtest-api")
    caller = await verifier(DEVELOPMENT_ISSUER, key.public_pem).verify(token)
    assert caller == Caller("anna", frozenset({"analysis:run", "reports:view"}))
    # Even where the key were trusted.
    with pytest.raises(RequestError, match="another issuer"):
        await verifier("https://issuer.example", key.public_pem).verify(token)


def test_a_key_that_cannot_be_used_says_what_to_do(tmp_path: Path) -> None:
    development_key(tmp_path)
    private_key_file(tmp_path).write_text("no key")
    with pytest.raises(StackError, match=r"is no private RSA key\. Delete it"):
        development_key(tmp_path)


def command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "seedtest", "token", "--user", "anna", *arguments],
        env=os.environ | {"SEEDTEST_HOME": str(home), "JWT_AUD": "my-api"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_prints_a_token_and_nothing_else(tmp_path: Path) -> None:
    done = command(tmp_path, "--scope", "analysis:run", "--scope", "exam:write", "--minutes", "5")
    assert (done.returncode, done.stderr) == (0, "")
    public_key = development_key(tmp_path).private_key.public_key()
    claims = jwt.decode(
        done.stdout.strip(), public_key, ["RS256"], audience="my-api", issuer=DEVELOPMENT_ISSUER
    )
    assert (claims["sub"], claims["scope"]) == ("anna", "analysis:run exam:write")
    assert claims["exp"] - claims["iat"] == 300


def test_a_token_lives_a_week_at_most(tmp_path: Path) -> None:
    assert command(tmp_path, "--minutes", str(7 * 24 * 60 + 1)).returncode != 0
    assert not private_key_file(tmp_path).exists()
