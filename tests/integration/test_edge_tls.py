"""Certificates of the edge, gRPC behind it, and the gateway's headers through it."""

import asyncio
import os
import ssl
from datetime import timedelta

import grpc
import httpx
import pytest

from cartrita.auth.certificates import node_in
from cartrita.cli.edge_certificate import DAYS, EdgeCertificate, authority_of
from cartrita.client import Client
from cartrita.clock import ManualClock, SystemClock
from cartrita.config.sections import Server
from cartrita.config.settings import Settings
from cartrita.errors import ConfigurationInvalid, NetworkFailed
from cartrita.instance import Paths
from serve_apps.gateway.sockets.bounds import Bounds
from serve_apps.rpc.server import Port
from serve_apps.rpc.server import serving as serving_rpc
from tests.support.api_server import serving
from tests.support.database import free_ports
from tests.support.edge import Mirror, edge_to, running_edge, write_certificate
from tests.support.gateway import assert_headers, serving_gateway
from tests.support.rpc import Reflected, rpc_gateway

BEFORE = SystemClock().now() - timedelta(days=DAYS - 29).total_seconds()
"""When a certificate was made that is due now."""


def certificate_of(folder, clock=None, names=("node-7",), **server):
    """Return the certificate of an instance whose folders are in `folder`, and what it says."""
    for name in ("home", "runtime"):
        (folder / name).mkdir(exist_ok=True)
    said = []
    settings = Settings(server=Server(**{"tls_self_made": True, **server}))
    paths = Paths(folder / "home", folder / "runtime")
    made = EdgeCertificate(
        settings, paths, clock or SystemClock(), said.append, lambda: list(names)
    )
    return made, said


def serial_of(port, ca):
    """Return the certificate that a new connection is shown."""
    import socket

    context = ssl.create_default_context(cafile=ca)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wire,
    ):
        return wire.getpeercert()["serialNumber"]


def test_a_self_made_certificate_has_the_names_of_this_machine_and_is_kept(tmp_path):
    made, _ = certificate_of(tmp_path, tls_names="api.example.org", host="192.0.2.7")

    file = made.prepare()
    again = certificate_of(tmp_path, tls_names="api.example.org", host="192.0.2.7")[0].prepare()

    node = node_in(authority_of(made.paths).parent / "localhost")
    assert {"localhost", "127.0.0.1", "::1", "node-7", "api.example.org", "192.0.2.7"} == set(
        node.names
    )
    assert file.read_text() == again.read_text()
    assert file.stat().st_mode & 0o077 == 0
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file)


def test_it_is_renewed_before_it_ends_and_when_a_name_is_missing(tmp_path):
    clock = ManualClock(BEFORE)
    made, _ = certificate_of(tmp_path, clock)
    first = made.prepare().read_text()
    authority = authority_of(made.paths).read_text()

    clock.advance(timedelta(days=DAYS - 31).total_seconds())
    assert made.prepare().read_text() == first
    clock.advance(timedelta(days=2).total_seconds())
    second = made.prepare().read_text()
    assert second != first

    more, _ = certificate_of(tmp_path, clock, names=("node-8",))
    assert more.prepare().read_text() != second
    assert authority_of(made.paths).read_text() == authority


def test_a_certificate_with_another_key_is_refused_by_the_settings_names(tmp_path):
    first, second = (write_certificate(tmp_path / name) for name in ("a.pem", "b.pem"))
    made, _ = certificate_of(tmp_path, tls_self_made=False, tls_certificate=first, tls_key=second)

    with pytest.raises(ConfigurationInvalid, match=r"server\.tls_key"):
        made.prepare()


def test_a_new_certificate_comes_into_use_and_no_connection_is_dropped(tmp_path):
    clock = ManualClock(BEFORE)
    certificate, said = certificate_of(tmp_path, clock)
    file, ca = certificate.prepare(), authority_of(certificate.paths)
    admin = tmp_path / "runtime" / "edge.sock"
    with serving(Mirror()) as url:
        edge = edge_to(url, certificate=file, admin=admin)
        with (
            running_edge(edge, tmp_path),
            httpx.Client(
                base_url=f"https://localhost:{edge.port}",
                verify=ssl.create_default_context(cafile=ca),
            ) as client,
        ):
            stream = client.get("/").extensions["network_stream"]
            before = serial_of(edge.port, ca)
            assert not asyncio.run(certificate.refresh(admin))

            clock.advance(timedelta(days=DAYS - 29).total_seconds())
            assert asyncio.run(certificate.refresh(admin))

            assert serial_of(edge.port, ca) != before
            assert client.get("/").extensions["network_stream"] is stream
            assert not asyncio.run(certificate.refresh(admin))
    assert not said


def test_a_bad_new_file_is_told_once_and_the_old_certificate_stays(tmp_path):
    source = write_certificate(tmp_path / "edge.pem")
    certificate, said = certificate_of(
        tmp_path, tls_self_made=False, tls_certificate=source, tls_key=source
    )
    file, admin = certificate.prepare(), tmp_path / "runtime" / "edge.sock"
    with serving(Mirror()) as url:
        edge = edge_to(url, certificate=file, admin=admin)
        with running_edge(edge, tmp_path):
            good = file.read_text()
            source.write_text("half of a PEM")
            for _ in range(2):
                assert not asyncio.run(certificate.refresh(admin))
            assert file.read_text() == good
            write_certificate(source)

            assert asyncio.run(certificate.refresh(admin))
    assert len(said) == 1


def test_the_client_trusts_the_authority_that_it_is_given_and_no_other(tmp_path):
    certificate, _ = certificate_of(tmp_path)
    with serving_gateway() as url:
        edge = edge_to(url, certificate=certificate.prepare())
        with running_edge(edge, tmp_path):
            address = f"https://localhost:{edge.port}"
            with Client(address, ca=authority_of(certificate.paths)) as client:
                assert client.health()["status"]
            with (
                Client(address, retries=0) as wary,
                pytest.raises(NetworkFailed, match="CERTIFICATE_VERIFY_FAILED"),
            ):
                wary.health()
            with pytest.raises(ConfigurationInvalid, match="no authority"):
                Client(address, ca=tmp_path / "nowhere.pem")


@pytest.fixture
def grpc_edge(tmp_path):
    """Give an edge before a gRPC port that the test will open."""

    def make(**options):
        public, behind = free_ports(2)
        return edge_to("http://127.0.0.1:1", rpc=(public, behind), **options)

    return make


async def test_grpc_goes_through_the_edge_in_the_clear(tmp_path, grpc_edge):
    edge = grpc_edge(request_timeout=1)
    async with rpc_gateway(port=edge.rpc[1]) as (api, _, _):
        with running_edge(edge, tmp_path):
            who = await api.user("rpc@example.org")
            async with grpc.aio.insecure_channel(f"127.0.0.1:{edge.rpc[0]}") as channel:
                client = Reflected(channel, who)
                assert "cartrita.mcp.v1.MCPOrchestratorService" in str(await client.services())


async def test_grpc_has_the_edges_certificate_and_nothing_older_than_tls_1_3(tmp_path, grpc_edge):
    certificate, _ = certificate_of(tmp_path)
    edge = grpc_edge(certificate=certificate.prepare())
    ca = authority_of(certificate.paths)
    trust = grpc.ssl_channel_credentials(ca.read_bytes())
    async with rpc_gateway(port=edge.rpc[1]):
        with running_edge(edge, tmp_path):
            where = f"localhost:{edge.rpc[0]}"
            async with grpc.aio.secure_channel(where, trust) as channel:
                assert await Reflected(channel).services()
            async with grpc.aio.insecure_channel(where) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await Reflected(channel).services()
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            old = ssl.create_default_context(cafile=ca)
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            with pytest.raises(ssl.SSLError):
                await asyncio.open_connection("localhost", edge.rpc[0], ssl=old)


async def test_grpc_clients_hear_unavailable_where_nobody_is_behind_the_edge(tmp_path, grpc_edge):
    edge = grpc_edge()
    with running_edge(edge, tmp_path):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{edge.rpc[0]}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await Reflected(channel).services()
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_gateway_without_an_edge_reads_a_new_certificate_of_its_grpc_port(tmp_path):
    clock = ManualClock(BEFORE)
    made, _ = certificate_of(tmp_path, clock)
    made.prepare()
    folder = authority_of(made.paths).parent / "localhost"
    async with rpc_gateway() as (api, _, _):
        listen = Port("127.0.0.1", 0, folder / "cert.pem", folder / "key.pem")
        async with serving_rpc(api.app._app._app.gate, listen, Bounds()) as port:
            ca = authority_of(made.paths)
            before = await asyncio.to_thread(serial_of, port, ca)
            assert await asyncio.to_thread(serial_of, port, ca) == before
            clock.advance(timedelta(days=DAYS - 29).total_seconds())
            made.prepare()
            after = await asyncio.to_thread(serial_of, port, ca)
            os.truncate(folder / "key.pem", 0)
            kept = await asyncio.to_thread(serial_of, port, ca)
    assert after != before
    assert kept == after


def test_the_gateways_headers_come_through_the_edge_once_each(tmp_path):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with serving_gateway(cors=("https://app.example.org",)) as url:
        edge = edge_to(url)
        with running_edge(edge, tmp_path):
            base = f"http://127.0.0.1:{edge.port}"
            page = {"Origin": "https://app.example.org"}
            told = httpx.get(f"{base}/livez", headers={"traceparent": trace, **page})
            asked = {"Access-Control-Request-Method": "POST", **page}
            allowed = httpx.options(f"{base}/v3/tasks", headers=asked)
            stranger = {**asked, "Origin": "https://evil.example.org"}
            refused = httpx.options(f"{base}/v3/tasks", headers=stranger)

    assert_headers(told)
    for name in ("x-request-id", "traceparent", "x-content-type-options", "x-frame-options"):
        assert len(told.headers.get_list(name)) == 1, name
    assert told.headers["traceparent"].split("-")[1] == trace.split("-")[1]
    assert told.headers["access-control-allow-origin"] == page["Origin"]
    assert "X-Request-ID" in told.headers["access-control-expose-headers"]
    assert allowed.headers["access-control-allow-origin"] == page["Origin"]
    assert "access-control-allow-origin" not in refused.headers
