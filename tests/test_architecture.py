"""What must stay true of the code as a whole; lint-imports holds who imports whom."""

import ast
import json
import pickle
import re
import subprocess
import sys
import tomllib
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest
from openapi_spec_validator import validate

from actors.pipelines import admission, execution
from cartrita.answers import Terms, TieredAnswers
from cartrita.catalog import discover
from cartrita.clock import SystemClock
from cartrita.errors import CartritaError, ErrorCode, Reason, from_wire, leaves
from cartrita.rate import Limiter
from cartrita.schema import openapi
from cartrita.storage.memory_answers import InMemoryShelf
from serve_apps.problems import STATUS

ROOT = Path(__file__).parents[1]
PACKAGES = ("actors", "cartrita", "serve_apps")
LONGEST_FILE = 400

# What an installation or a check leaves behind, and what git knows.
NOT_OURS = {"build", "dist", "node_modules", "__pycache__"}
HIDDEN_OURS = {".ci", ".github"}

HEAVY = {"duckdb", "langchain", "langchain_core", "langgraph", "numpy", "openai", "ray"}
HEAVY |= {"asyncpg", "deepgram", "hvac", "redis", "tokenizers", "torch", "transformers", "whisper"}


def sources(*tops):
    """Return the Python files below some folders, by their path in the repository."""
    return {
        str(path.relative_to(ROOT)): path.read_text()
        for top in tops
        for path in sorted((ROOT / top).rglob("*.py"))
    }


def repository():
    """Return the text files that belong to the repository."""
    for path in sorted(ROOT.rglob("*")):
        inside = path.relative_to(ROOT)
        folders = set(inside.parts[:-1])
        hidden = {part for part in folders if part.startswith(".")} - HIDDEN_OURS
        foreign = folders & NOT_OURS or any(part.endswith(".egg-info") for part in folders)
        if path.is_file() and not hidden and not foreign and path.name != ".env":
            try:
                yield inside, path.read_text()
            except UnicodeDecodeError:
                continue


def modules_after(statement):
    """Return the top-level modules that a fresh interpreter holds after a statement."""
    script = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel and return the names in it."""
    folder = tmp_path_factory.mktemp("wheel")
    if find_spec("hatchling"):
        build = ["hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    else:  # pip fetches the builder, as it did for the installation
        build = ["pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), "."]
    done = subprocess.run(
        [sys.executable, "-m", *build],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("*.whl")
    with ZipFile(made) as archive:
        return set(archive.namelist())


def test_no_file_is_longer_than_can_be_read_at_once():
    files = sources(*PACKAGES, "tests", "benchmarks")
    lengths = {name: len(text.splitlines()) for name, text in files.items()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_every_file_begins_by_saying_what_it_is():
    for name, text in sources(*PACKAGES, "tests", "benchmarks").items():
        assert text.startswith('"""'), name
        assert ast.get_docstring(ast.parse(text)), name


def test_every_agent_has_a_test():
    agents = {path.stem for path in (ROOT / "actors/agents").glob("[!_]*.py")}
    tests = {path.stem for path in (ROOT / "tests/unit/actors/agents").glob("test_*.py")}
    assert {f"test_{agent}" for agent in agents} <= tests


def test_policies_come_in_this_order():
    names = [type(policy).__name__ for policy in admission(Limiter(SystemClock()))]
    assert names == ["Authorize", "RateLimit", "Pii"]
    assert [type(policy).__name__ for policy in admission()] == ["Authorize", "Pii"]
    kept = TieredAnswers(Terms(), SystemClock(), InMemoryShelf(SystemClock()))
    names = [type(policy).__name__ for policy in execution(kept)]
    assert names == ["Deadline", "Retry", "Cache", "Quality"]
    assert [type(policy).__name__ for policy in execution()] == ["Deadline", "Retry", "Quality"]


def test_every_error_stands_in_the_tree():
    kinds = {*leaves(), CartritaError.__name__}
    for name, text in sources(*PACKAGES).items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and name != "cartrita/errors.py":
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                assert not bases & kinds, f"{name}: {node.name}"


def test_every_code_belongs_to_one_class_and_its_finer_ones():
    heads = CartritaError.__subclasses__()
    assert Counter(kind.code for kind in heads) == Counter(ErrorCode)
    for head in heads:
        assert all(kind.code == head.code for kind in leaves(head).values())


def test_every_finer_class_has_a_reason_of_its_own():
    heads = set(CartritaError.__subclasses__())
    reasons = [kind.default_reason for kind in leaves().values() if kind not in heads]
    assert all(isinstance(reason, Reason) for reason in reasons)
    assert len(set(reasons)) == len(reasons)


@pytest.mark.parametrize("kind", leaves().values(), ids=leaves())
def test_every_error_survives_an_actor_boundary_and_a_channel(kind):
    error = kind("It broke.", "WHY", [("field", "is wrong")], 2.5)
    for copy in (pickle.loads(pickle.dumps(error)), from_wire(error.to_wire())):
        assert type(copy) is kind
        assert (copy.message, copy.reason) == ("It broke.", "WHY")
        assert (copy.fields, copy.retry_after) == ((("field", "is wrong"),), 2.5)


def test_every_code_has_an_http_status():
    assert STATUS.keys() == set(ErrorCode)
    assert all(400 <= status < 600 for status in STATUS.values())


def test_the_library_costs_nothing_that_was_not_asked_for():
    loaded = modules_after("import cartrita")
    assert "cartrita" in loaded
    assert not loaded & (HEAVY | {"httpx", "pydantic", "starlette"})


def test_the_declarations_cost_no_model_and_no_ray():
    loaded = modules_after("from cartrita.catalog import discover; discover('actors.agents')")
    assert "actors" in loaded
    # numpy stands in the annotations of the ports.
    assert not loaded & (HEAVY - {"numpy"})


def test_the_wheel_holds_three_packages_and_their_data(wheel):
    inside = {name for name in wheel if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in inside} == set(PACKAGES)
    assert {name for name in inside if name.endswith(".py")} == set(sources(*PACKAGES))
    rows = (ROOT / "serve_apps/bridge/rows").glob("*.toml")
    migrations = (ROOT / "cartrita/storage/postgres/migrations").glob("*.sql")
    assert {name for name in inside if not name.endswith(".py")} == {
        "cartrita/py.typed",
        "cartrita/cost/models.toml",
        "cartrita/cost/prices.toml",
        "cartrita/quality/rules.toml",
        "cartrita/vault/providers.toml",
        "serve_apps/bridge/kinds.toml",
        "serve_apps/bridge/router.toml",
        "serve_apps/bridge/successors.toml",
        "serve_apps/rpc/proto/cartrita/mcp/v1/mcp.proto",
        *(str(path.relative_to(ROOT)) for path in (*migrations, *rows)),
    }


def test_the_wheel_brings_its_licence(wheel):
    assert [name for name in wheel if name.endswith(".dist-info/licenses/LICENSE")]


def test_every_dependency_has_its_reason_written_down():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(name for extra in extras.values() for name in extra)]
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in wanted} - {project["name"]}
    page = (ROOT / "docs/decisions/0002-dependencies.md").read_text()
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("|")]
    told = {name for row in rows for cell in row for name in re.findall(r"`([\w-]+)`", cell)}
    assert names <= told
    assert told - set(extras) <= names


def test_no_file_names_a_machine_it_was_made_on_or_a_registry():
    # In parts, because this file is looked at, too.
    texts = ["../" + "shared", "pypi" + ".org", "python" + "hosted.org", "npm" + "js.org"]
    work = r"(?<![\w./-])/" + r"work(?![\w-])"
    forbidden = re.compile("|".join([work, *map(re.escape, texts)]))
    found = {str(name): hit[0] for name, text in repository() if (hit := forbidden.search(text))}
    assert found == {}


def test_the_api_document_is_valid_and_has_every_task():
    catalog = discover("actors.agents")
    document = openapi(catalog, "3.0.0")
    validate(document)
    body = document["paths"]["/v3/tasks"]["post"]["requestBody"]["content"]["application/json"]
    mapped = set(body["schema"]["discriminator"]["mapping"])
    assert mapped == set(catalog.tasks)
