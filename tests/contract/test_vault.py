"""Secrets out of a vault, over a real socket."""

import asyncio
import ssl
import sys
import traceback

import pytest
from pydantic import SecretStr

from actors.renewal import renew
from cartrita.auth.certificates import CA, CERT, KEY, issue, make_authority
from cartrita.cli.checks import secrets as checked
from cartrita.clock import SystemClock
from cartrita.config.load import child_environment, explain, load_settings
from cartrita.config.settings import Settings
from cartrita.errors import ConfigurationInvalid, MissingExtra, NotFound, ServiceUnavailable
from cartrita.openers.vault import PROVIDERS, Watch, reading, references, resolved
from tests.support.site import Reply, data
from tests.support.vault_server import problem, redirect, vault_server

CANARY = "sk-canary-0123456789"


@pytest.fixture
async def vault():
    async with vault_server() as server:
        server.secrets["llm/openai"] = [{"key": CANARY, "count": 3, "none": ""}]
        server.tokens["t0"] = ["llm/"]
        yield server


def settings(vault, key="vault:llm/openai#key", **chosen):
    chosen = {"url": vault.url, "token": "t0", "timeout_s": 5, **chosen}
    return Settings.model_validate({"vault": chosen, "models": {"openai_api_key": key}})


async def read(vault, **chosen):
    found = await asyncio.to_thread(resolved, settings(vault, **chosen))
    return found.models.openai_api_key.get_secret_value()


async def refused(vault, kind=ConfigurationInvalid, **chosen):
    with pytest.raises(kind) as caught:
        await read(vault, **chosen)
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert "t0" not in caught.value.message.split()
    assert caught.value.fields[0].field == "models.openai_api_key"
    return caught.value


async def test_a_reference_is_read_and_the_rest_stays_as_it_was(vault):
    before = settings(vault)
    after = await asyncio.to_thread(resolved, before)
    assert after.models.openai_api_key == SecretStr(CANARY)
    plain = after.models.model_copy(update={"openai_api_key": before.models.openai_api_key})
    assert after.model_copy(update={"models": plain}) == before


async def test_several_fields_of_a_secret_are_read_at_once(vault):
    vault.secrets["llm/all"] = [{"a": "1", "b": "2"}]
    models = {"openai_api_key": "vault:llm/all#a", "groq_api_key": "vault:llm/all#b"}
    given = Settings.model_validate({"vault": {"url": vault.url, "token": "t0"}, "models": models})
    found = (await asyncio.to_thread(resolved, given)).models
    assert [k.get_secret_value() for k in (found.openai_api_key, found.groq_api_key)] == ["1", "2"]
    assert len(vault.site.asked("/v1/secret/data/llm/all")) == 1


async def test_a_prefix_and_a_namespace_are_sent(vault):
    assert await read(vault, key="vault:openai#key", prefix="llm", namespace="team") == CANARY
    assert vault.site.visits[0].headers["x-vault-namespace"] == "team"


async def test_a_role_signs_in_each_time(vault):
    vault.roles["role", "its secret"] = "t0"
    way = {"token": None, "role_id": "role", "secret_id": "its secret"}
    assert await read(vault, **way) == CANARY
    error = await refused(vault, **way | {"secret_id": "wrong"})
    assert "vault.role_id and vault.secret_id are not accepted" in error.message


async def test_a_token_in_a_file_is_read_anew_each_time(vault, tmp_path):
    file = tmp_path / "token"
    way = {"token": None, "token_path": str(file)}
    assert "vault.token_path" in (await refused(vault, **way)).message
    file.write_text("t0\n")
    assert await read(vault, **way) == CANARY
    vault.tokens["t1"] = vault.tokens.pop("t0")
    await refused(vault, **way)
    file.write_text("t1\n")
    assert await read(vault, **way) == CANARY
    assert vault.renewed == []


async def test_a_token_of_ours_is_renewed_where_it_can_be(vault):
    await read(vault)
    assert vault.renewed == ["t0"]
    vault.get, kept = lambda *_: lambda visit: _no_renewal(vault, visit), vault.get
    assert await read(vault) == CANARY
    vault.get = kept


def _no_renewal(vault, visit):
    denied = visit.path == "/v1/auth/token/renew-self"
    return problem(400, "lease is not renewable") if denied else vault._page(visit)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("vault:other/openai#key", "may not read secret/data/other/openai"),
        ("vault:llm/absent#key", "has no secret secret/llm/absent"),
        ("vault:llm/gone#key", "or it was deleted"),
        ("vault:llm/openai#absent", "is not there"),
        ("vault:llm/openai#none", "is empty"),
        ("vault:llm/openai#count", "is no text"),
    ],
)
async def test_what_cannot_be_read_names_the_setting(vault, key, said):
    vault.secrets["llm/gone"] = [{"key": CANARY}, None]
    assert said in (await refused(vault, key=key)).message


async def test_a_wrong_token_is_refused_at_once(vault):
    await refused(vault, token="t0x")
    assert len(vault.site.visits) == 1


async def test_a_sealed_vault_is_away_after_so_many_tries(vault):
    vault.sealed = True
    error = await refused(vault, ServiceUnavailable, tries=2)
    assert "is sealed" in error.message
    assert error.retryable
    assert len(vault.site.visits) == 2


@pytest.mark.parametrize("fault", [problem(503, "Vault is sealed"), problem(429), problem(500)])
async def test_what_fails_in_passing_is_asked_again(vault, fault):
    vault.faults = [fault]
    assert await read(vault) == CANARY


async def test_a_vault_that_says_nothing_is_given_up(vault):
    vault.hangs = True
    error = await refused(vault, ServiceUnavailable, timeout_s=0.2)
    assert "within 0.2 s" in error.message


async def test_a_vault_that_stops_halfway_is_given_up(vault):
    begun = Reply(kind="application/json", pieces=lambda: [b'{"data": '], stays=True)
    vault.faults = [begun] * 3
    assert "within" in (await refused(vault, ServiceUnavailable, timeout_s=0.3)).message


async def test_a_vault_that_is_not_there_is_away(vault):
    error = await refused(vault, ServiceUnavailable, url="http://127.0.0.1:1", tries=1)
    assert "cannot be read from" in error.message


async def test_a_redirect_is_not_given_the_token(vault):
    async with vault_server() as other:
        vault.faults = [redirect(f"{other.url}/v1/secret/data/llm/openai")] * 3
        await refused(vault)
        assert other.site.visits == []


@pytest.mark.parametrize("body", [{"data": {"key": CANARY}}, [], {"data": {"data": None}}, "text"])
async def test_what_is_no_vault_is_said_to_be_none(vault, body):
    vault.faults = [data(body)] * 3
    with pytest.raises((ConfigurationInvalid, ServiceUnavailable)):
        await read(vault)


async def test_what_the_vault_holds_must_be_what_the_setting_takes(vault):
    vault.secrets["llm/openai"] = [{"key": f"mysql://{CANARY}"}]
    chosen = {"url": vault.url, "token": "t0"}
    tree = {"vault": chosen, "postgres": {"url": "vault:llm/openai#key"}}
    with pytest.raises(ConfigurationInvalid, match=r"postgres\.url: .* must begin with") as caught:
        await asyncio.to_thread(resolved, Settings.model_validate(tree))
    assert CANARY not in "".join(traceback.format_exception(caught.value))


async def test_its_certificate_is_checked(tmp_path):
    authority = make_authority(tmp_path, SystemClock())
    files = issue(authority, tmp_path, ["127.0.0.1"], 1, SystemClock()).folder
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files / CERT, files / KEY)
    async with vault_server(context) as vault:
        vault.secrets["llm/openai"], vault.tokens["t0"] = [{"key": CANARY}], ["llm/"]
        url = vault.url.replace("http:", "https:")
        assert await read(vault, url=url, ca=str(tmp_path / CA)) == CANARY
        await refused(vault, ServiceUnavailable, url=url, tries=1)
        assert len(vault.site.asked("/v1/secret/data/llm/openai")) == 1


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "hvac", None)
    chosen = {"vault": {"url": "http://v", "token": "t"}, "admin": {"password": "vault:a#b"}}
    with pytest.raises(MissingExtra, match=r"pip install 'cartrita\[vault\]'"):
        resolved(Settings.model_validate(chosen))


def test_without_a_vault_the_setting_that_names_it_is_told():
    chosen = Settings.model_validate({"admin": {"password": "vault:a#b"}})
    with pytest.raises(ConfigurationInvalid, match="CARTRITA_VAULT__URL"):
        resolved(chosen)


def test_what_only_looks_like_a_reference_is_refused():
    chosen = Settings.model_validate({"admin": {"password": "vault:a"}})
    with pytest.raises(ConfigurationInvalid, match=r"'admin\.password' takes vault:path#field"):
        references(chosen)


def test_settings_show_where_a_secret_is_and_never_what_it_is(tmp_path):
    environ = {"HOME": str(tmp_path), "OPENAI_API_KEY": "vault:a#b", "VAULT_TOKEN": CANARY}
    rows = {row.name: row.value for row in explain(environ=environ, cwd=tmp_path)}
    assert rows["models.openai_api_key"] == "vault:a#b"
    assert rows["vault.token"] == "********"


def test_children_are_told_the_reference_and_not_the_key(tmp_path):
    environ = {"HOME": str(tmp_path), "OPENAI_API_KEY": "vault:a#b"}
    told = child_environment(load_settings(environ=environ, cwd=tmp_path), environ={})
    assert told["CARTRITA_MODELS__OPENAI_API_KEY"] == "vault:a#b"


async def test_only_what_needs_a_key_reads_the_vault(vault):
    def make(chosen):
        from cartrita.config.kinds import text_of

        return {int: lambda _: 7, str: lambda _: text_of(chosen.models.openai_api_key)}

    factories = reading(settings(vault), make)
    assert await factories[int](None) == 7
    assert vault.site.visits == []
    assert await factories[str](None) == CANARY
    assert await factories[str](None) == CANARY
    assert len(vault.site.asked("/v1/secret/data/llm/openai")) == 1


async def test_keys_of_providers_may_be_left_to_the_workers(vault):
    given = settings(vault)
    assert await asyncio.to_thread(resolved, given, PROVIDERS) is given
    assert vault.site.visits == []


async def test_a_change_replaces_the_workers_once(vault):
    replaced, looks = asyncio.Queue(), asyncio.Queue()
    watch = Watch(settings(vault))

    class Looked:
        idle = False

        def changed(self):
            try:
                return watch.changed()
            finally:
                loop.call_soon_threadsafe(looks.put_nowait, None)

    class Hosts:
        def snapshot(self):
            return [{"id": "a"}, {"id": "gone"}, {"id": "b"}]

        async def restart(self, name, grace):
            if name == "gone":
                raise NotFound
            replaced.put_nowait((name, grace))

    loop = asyncio.get_running_loop()
    task = asyncio.create_task(renew(Looked(), 0.01, Hosts()))
    try:
        async with asyncio.timeout(20):
            for _ in range(2):
                await looks.get()
            assert replaced.empty()
            vault.sealed = True
            await looks.get()
            vault.secrets["llm/openai"].append({"key": "another"})
            vault.sealed = False
            assert [await replaced.get() for _ in "ab"] == [("a", 60.0), ("b", 60.0)]
            for _ in range(2):
                await looks.get()
            assert replaced.empty()
    finally:
        task.cancel()


def test_without_references_nobody_looks():
    assert Watch(Settings()).idle
    chosen = {"url": "http://v", "token": "t"}
    tree = {"vault": chosen, "admin": {"password": "vault:a#b"}}
    assert Watch(Settings.model_validate(tree)).idle  # who deployed has read it


async def test_the_doctor_reads_every_secret(vault):
    (found,) = await asyncio.to_thread(lambda: list(checked(settings(vault))))
    assert (found.state, found.detail) == ("ok", f"1 secrets from {vault.url}")
    wrong = settings(vault, key="vault:llm/openai#absent")
    (found,) = await asyncio.to_thread(lambda: list(checked(wrong)))
    assert found.state == "fail"
    assert "models.openai_api_key" in found.detail
    assert list(checked(Settings())) == []
