"""Webhooks, over real sockets."""

import pytest

from cartrita.egress.client import Egress
from cartrita.egress.policy import public
from cartrita.errors import AddressRefused, NetworkFailed
from cartrita.providers.web.hooks import Hooks
from tests.support.site import Reply, site

HERE, SECRET = "127.0.0.2", "127.0.0.1"


@pytest.fixture
async def hooks():
    made = Hooks(Egress(public((f"{HERE}/32",), ("1-65535",))))
    yield made
    await made.close()


async def test_what_is_sent_arrives_with_its_key(hooks):
    async with site({"/hook": Reply("thanks", status=202)}, host=HERE) as here:
        assert await hooks.send(f"{here.url}/hook", {"text": "Zoë"}, "key-1") == 202
    (visit,) = here.visits
    assert (visit.method, visit.headers["idempotency-key"]) == ("POST", "key-1")
    assert visit.headers["content-type"] == "application/json"
    assert visit.json == {"text": "Zoë"}


async def test_a_server_inside_is_not_sent_anything(hooks):
    async with site({"/": Reply("the crown jewels")}, host=SECRET) as secret:
        with pytest.raises(AddressRefused):
            await hooks.send(f"{secret.url}/", {}, "key-1")
    assert secret.connections == 0


async def test_an_address_where_nobody_is_says_so(hooks):
    async with site({}, host=HERE) as here:
        url = f"{here.url}/"
    with pytest.raises(NetworkFailed):
        await hooks.send(url, {}, "key-1")
