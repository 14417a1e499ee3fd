"""Providers are asked about keys, over a real socket."""

import pytest

from cartrita.egress.client import Egress
from cartrita.egress.policy import public
from cartrita.vault.checking import ByHttp, verdict_of
from cartrita.vault.providers import Check, provider_of
from tests.support.site import data, site

KEY = "sk-" + "a1B2" * 8


@pytest.mark.parametrize(
    ("status", "valid", "method"),
    [(200, True, "http_check"), (401, False, "http_check"), (500, True, "format_only")],
)
async def test_a_provider_is_asked_with_the_key(status, valid, method):
    async with site({"/v1": data({}, status)}) as server:
        check = Check(url=f"{server.url}/v1", header="Authorization", value="Bearer {key}")
        provider = provider_of("openai").model_copy(update={"check": check})
        egress = Egress(public(("127.0.0.1/32",), ("1-65535",)))
        asks = ByHttp(egress)
        verdict = await verdict_of(asks, provider, KEY)
        await asks.close()
        assert (verdict.valid, verdict.method, verdict.status) == (valid, method, status)
        assert verdict.passed is (status == 200)
        assert server.visits[0].headers["authorization"] == f"Bearer {KEY}"


async def test_where_the_way_out_refuses_the_form_alone_counts():
    check = Check(url="http://127.0.0.1/", header="x", value="{key}")
    provider = provider_of("openai").model_copy(update={"check": check})
    asks = ByHttp(Egress(public((), ())))
    verdict = await verdict_of(asks, provider, KEY)
    await asks.close()
    assert (verdict.valid, verdict.method) == (True, "format_only")
    assert "127.0.0.1" in verdict.error
    assert not verdict.passed
    assert (await verdict_of(None, provider, KEY)).passed
    assert (await verdict_of(None, provider, "wrong")).valid is False
