"""A server that speaks the part of HashiCorp Vault's protocol that reading secrets takes.

Paths, statuses and bodies are those of Vault's HTTP API: KV engine version 2, AppRole, tokens.
"""

from contextlib import asynccontextmanager

from cartrita.clock import new_id
from tests.support.site import HANG, Reply, data, site

MOUNT = "secret"


def problem(status, *errors):
    return data({"errors": list(errors)}, status)


class VaultServer:
    """What a test keeps in it and turns on it.

    Attributes:
        secrets: Path to its versions, oldest first; None is a deleted one.
        tokens: Path prefixes that each token may read.
        roles: (role id, secret id) to the token it gets.
        faults: Answers of the next requests, in order, whatever they ask for.
        sealed: Whether everything is answered with 503.
        hangs: Whether nothing is answered.
    """

    def __init__(self):
        self.secrets, self.tokens, self.roles = {}, {}, {}
        self.faults, self.renewed = [], []
        self.sealed = self.hangs = False
        self.site = None

    @property
    def url(self):
        return self.site.url

    def get(self, path, _default=None):
        """Return the page of a path, as the site asks for it."""
        return HANG if self.hangs else self._page

    def _page(self, visit):
        if self.faults:
            return self.faults.pop(0)
        return problem(503, "Vault is sealed") if self.sealed else self._open_page(visit)

    def _open_page(self, visit):
        if visit.path == "/v1/auth/approle/login":
            return self._login(visit.json)
        allowed = self.tokens.get(visit.headers.get("x-vault-token"))
        if allowed is None:
            return problem(403, "permission denied", "invalid token")
        if visit.path == "/v1/auth/token/renew-self":
            self.renewed.append(visit.headers["x-vault-token"])
            return data({"auth": {"lease_duration": 3600, "renewable": True}})
        prefix, found, path = visit.path.partition(f"/v1/{MOUNT}/data/")
        return self._read(path, allowed) if found and not prefix else problem(404)

    def _login(self, body):
        token = self.roles.get((body.get("role_id"), body.get("secret_id")))
        if token is None:
            return problem(400, "invalid role or secret ID")
        return data({"auth": {"client_token": token, "policies": ["default"], "renewable": True}})

    def _read(self, path, allowed):
        if not path.startswith(tuple(allowed)):
            return problem(403, "1 error occurred:\n\t* permission denied\n\n")
        versions = self.secrets.get(path)
        if not versions:
            return problem(404)
        times = {"created_time": "2026-11-26T10:00:00.000000000Z", "destroyed": False}
        about = {**times, "deletion_time": "", "version": len(versions), "custom_metadata": None}
        if versions[-1] is None:
            about["deletion_time"] = "2026-11-26T11:00:00.000000000Z"
            return data(self._body({"data": None, "metadata": about}), 404)
        return data(self._body({"data": versions[-1], "metadata": about}))

    def _body(self, found):
        return {
            "request_id": new_id(),
            "lease_id": "",
            "renewable": False,
            "lease_duration": 0,
            "data": found,
            "wrap_info": None,
            "warnings": None,
            "auth": None,
        }


def redirect(where):
    return Reply(status=307, headers={"location": where})


@asynccontextmanager
async def vault_server(tls=None):
    """Run one for the length of a block."""
    made = VaultServer()
    async with site(tls=tls) as running:
        running.pages, made.site = made, running
        yield made
