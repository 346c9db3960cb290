"""The database's own tests run on the embedded server and on Debian's."""

import pytest

from tests.conftest import Address


@pytest.fixture(scope="session", params=["embedded", pytest.param("debian", marks=pytest.mark.debian)])
def server(request: pytest.FixtureRequest) -> Address:
    address: Address = request.getfixturevalue(request.param)
    return address
