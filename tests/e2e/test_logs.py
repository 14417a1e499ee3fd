"""Log levels of a whole instance, changed while it runs."""

import pytest

from tests.support.instance import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.ray]


def order(client, command, target, **arguments):
    body = {"command": command, "target": target, "arguments": arguments}
    answer = client.post("/v3/admin/commands", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def levels(client):
    """Return what each process that is up says of itself."""
    shards = order(client, "HEALTH_CHECK", "tree")
    up = [host for shard in shards for host in shard["hosts"] if host["state"] == "up"]
    assert up
    return {row["id"]: row.get("logLevel") for row in [*shards, *up]}


def test_a_level_reaches_supervisors_and_hosts_and_those_that_start_later(instance):
    client = instance.login()
    try:
        order(client, "CONFIG_UPDATE", "tree", logLevel="warning")
        assert set(levels(client).values()) == {"warning"}

        order(client, "RESTART", "agent:health")

        wait_until("the host is back", lambda: "system/0.shared.0" in levels(client))
        after = levels(client)
        assert set(after.values()) == {"warning"}
        entries = client.get("/v3/admin/audit?limit=100").json()["entries"]
        assert {"logLevel": "warning"} in [entry["detail"] for entry in entries]
    finally:
        order(client, "CONFIG_UPDATE", "tree", logLevel="info")
