"""Programs that try to get out of the sandbox."""

import asyncio
import json
import os
import struct
import sys
from pathlib import Path
from textwrap import dedent

from cartrita.providers.ports_sandbox import Ended
from tests.support.sandboxed import TRY, found, left_of, program, ran

# --- the network


async def test_no_server_of_this_machine_or_of_any_other_is_reached(tmp_path):
    came = []
    path = f"{tmp_path}/s"
    abstract = f"\0cartrita-{tmp_path.name}"
    servers = [
        await asyncio.start_server(lambda *_: came.append("tcp"), "127.0.0.1", 0),
        await asyncio.start_unix_server(lambda *_: came.append("unix"), path),
        await asyncio.start_unix_server(lambda *_: came.append("abstract"), abstract),
    ]
    port = servers[0].sockets[0].getsockname()[1]
    code = """
    port, path, abstract = int(sys.argv[2]), sys.argv[3], "\\0" + sys.argv[4]
    def reach(family, address):
        with socket.socket(family, socket.SOCK_STREAM) as one:
            one.settimeout(1)
            one.connect(address)
    print(json.dumps([
        attempt(reach, socket.AF_INET, ("127.0.0.1", port)),
        attempt(reach, socket.AF_INET6, ("::ffff:127.0.0.1", port)),
        attempt(reach, socket.AF_INET, ("169.254.169.254", 80)),
        attempt(reach, socket.AF_INET, ("1.1.1.1", 443)),
        attempt(reach, socket.AF_UNIX, path),
        attempt(reach, socket.AF_UNIX, abstract),
        attempt(socket.getaddrinfo, "example.com", 80),
    ]))
    """
    errors = await found(dedent(code), str(port), path, abstract[1:])
    assert "None" not in errors
    assert len(errors) == 7
    assert came == []
    for server in servers:
        server.close()
        await server.wait_closed()


async def test_sockets_that_know_no_network_namespace_cannot_be_made():
    code = """
    kinds = {name: getattr(socket, name) for name in dir(socket) if name.startswith("AF_")}
    made = []
    for name, family in kinds.items():
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
            try:
                socket.socket(family, kind).close()
                made.append(name)
            except OSError:
                pass
    print(json.dumps(sorted(set(made))))
    """
    assert set(await found(dedent(code))) <= {"AF_UNIX", "AF_INET", "AF_INET6"}


# --- the machine's files and secrets


async def test_nothing_of_the_machine_is_there_but_the_system_itself(tmp_path):
    (tmp_path / "canary").write_text("canary")
    code = """
    seen = []
    for folder, folders, names in os.walk("/"):
        if folder == "/":
            folders[:] = set(folders) - {"usr", "proc"}
        seen += [os.path.join(folder, name) for name in names]
    hidden = ["/etc/shadow", "/etc/passwd", "/root", "/home", "/var", "/run", "/sys", sys.argv[2]]
    print(json.dumps([seen, [path for path in hidden if os.path.exists(path)]]))
    """
    seen, hidden = await found(dedent(code), str(tmp_path / "canary"))
    expected = ("/box/main", "/dev/", "/etc/alternatives/", "/etc/ld.so.cache")
    assert [path for path in seen if not path.startswith(expected)] == []
    assert hidden == []


async def test_nothing_of_the_machine_can_be_written():
    code = """
    def make(folder):
        place = os.path.join(folder, "made")
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY))
    made = []
    for top in ("/", "/dev", "/usr", "/etc", "/proc/sys", "/bin/", "/lib/"):
        for folder, folders, _ in os.walk(top):
            if folder.rstrip("/").count("/") >= 2:
                folders.clear()
            if folder in ("/box", "/tmp", "/dev/shm") or folder.startswith("/proc/1"):
                folders.clear()
            elif attempt(make, folder) == "None":
                made.append(folder)
    kernel = ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches",
              "/proc/sys/user/max_user_namespaces", "/proc/sys/kernel/hostname"]
    def write(path):
        with open(path, "w") as file:
            file.write("1")
    opened = [path for path in kernel if attempt(write, path) == "None"]
    secret = ["/proc/kcore", "/proc/kmsg", "/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda"]
    denied = ("PermissionError", "FileNotFoundError")
    print(json.dumps([made, opened, [it for it in secret if attempt(open, it) not in denied]]))
    """
    assert await found(dedent(code)) == [[], [], []]


async def test_no_environment_and_no_open_file_of_ours_is_seen(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "canary-key")
    secret = tmp_path / "secret"
    secret.write_text("canary-file")
    code = """
    said = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            for name in ("environ", "cmdline", "maps"):
                try:
                    said.append((folder / name).read_text(errors="replace"))
                except OSError:
                    pass
            for link in Path(folder, "fd").glob("*"):
                try:
                    said.append(os.readlink(link))
                    said += [link.read_text(errors="replace")] if link.is_file() else []
                except OSError:
                    pass
    descriptors = len(os.listdir("/proc/self/fd"))
    print(json.dumps([dict(os.environ), "canary" in "".join(said), descriptors]))
    """
    with secret.open() as file:
        os.set_inheritable(file.fileno(), True)
        environment, seen, descriptors = await found(dedent(code))
    assert set(environment) <= {"HOME", "LANG", "MALLOC_ARENA_MAX", "PATH", "TMPDIR", "TZ"}
    assert not seen
    assert descriptors == 4  # standard ones, and that of the look


async def test_links_pipes_and_devices_are_not_given_back(tmp_path):
    (tmp_path / "secret").write_text("canary")
    code = """
    os.symlink(sys.argv[2], "secret"); os.symlink("/etc/ld.so.cache", "cache")
    os.symlink("/", "root"); os.symlink("../../../../etc", "up"); os.mkfifo("pipe")
    os.mkdir("folder"); os.symlink("/usr", "folder/usr"); os.symlink("loop", "loop")
    Path("with\\nnewline").write_text("x"); Path("folder/kept").write_text("kept")
    socket.socket(socket.AF_UNIX).bind("socket")
    node = attempt(os.mknod, "device", 0o20666, os.makedev(1, 1))
    deep = Path("a/a/a/a/a/a/a/a/a/a"); deep.mkdir(parents=True); (deep / "deep").write_text("x")
    print(json.dumps(node))
    """
    result = await ran(TRY + dedent(code), str(tmp_path / "secret"))
    assert result.files == {"folder/kept": b"kept"}
    assert result.left_out == 1
    assert json.loads(result.stdout) == "PermissionError"


# --- other processes


async def test_only_its_own_processes_are_there_and_none_other_can_be_harmed():
    code = """
    pids = sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())
    harmed = [pid for pid in range(int(sys.argv[2]) - 5, int(sys.argv[2]) + 6)
              if pid not in pids and attempt(os.kill, pid, 9) != "ProcessLookupError"]
    os.kill(1, signal.SIGKILL); os.kill(1, signal.SIGTERM)
    print(json.dumps([pids, harmed, os.getppid()]))
    """
    pids, harmed, parent = await found(dedent(code), str(os.getpid()))
    assert pids == [1, parent, parent + 1]
    assert harmed == []


async def test_dangerous_system_calls_are_refused():
    if os.uname().machine != "x86_64":
        numbers = {"ptrace": 117, "process_vm_readv": 270, "unshare": 97, "setns": 268, "bpf": 280}
        numbers |= {"mount": 40, "keyctl": 219, "io_uring_setup": 425, "memfd_create": 279}
    else:
        numbers = {"ptrace": 101, "process_vm_readv": 310, "unshare": 272, "setns": 308, "bpf": 321}
        numbers |= {"mount": 165, "keyctl": 250, "io_uring_setup": 425, "memfd_create": 319}
        numbers |= {"shmget": 29, "x32 getpid": 0x40000000 | 39, "iopl": 172}
    numbers |= {"clone3": 435, "open_tree": 428}
    code = """
    numbers = json.loads(sys.argv[2])
    found = {name: call(number, 16, 1, 0, 0, 0) for name, number in numbers.items()}
    clone = 220 if os.uname().machine == "aarch64" else 56
    found["new user namespace"] = call(clone, 0x10000011, 0, 0, 0, 0)
    print(json.dumps(found))
    """
    answers = await found(dedent(code), json.dumps(numbers))
    assert {name: kind for name, kind in answers.items() if kind not in ("EPERM", "ENOSYS")} == {}


async def test_the_other_abi_of_the_processor_is_deadly():
    if os.uname().machine != "x86_64":
        return
    code = """
    import mmap
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes.fromhex("b814000000cd80c3"))  # getpid by int 0x80, then return
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    print("alive")
    """
    result = await ran(TRY + dedent(code))
    assert (result.ended, result.exit_code, result.stdout) == (Ended.EXITED, -31, "")  # SIGSYS


async def test_nobody_becomes_root():
    code = """
    import shutil, stat
    setuid = [str(path) for path in Path("/usr/bin").iterdir()
              if path.is_file() and path.stat().st_mode & stat.S_ISUID]
    ids = []
    for path in [*setuid, "/usr/bin/id"]:
        copy = Path("/box/copy"); copy.unlink(missing_ok=True); shutil.copy("/usr/bin/id", copy)
        os.chmod(copy, 0o6755)
        ids.append(subprocess.run([copy, "-u"], capture_output=True, text=True).stdout.strip())
    su = subprocess.run(["/usr/bin/su", "-c", "id"], capture_output=True, text=True, input="")
    nested = subprocess.run(["/usr/bin/unshare", "-Ur", "id"], capture_output=True, text=True)
    again = subprocess.run(["/usr/bin/bwrap", "--ro-bind", "/", "/", "id"], capture_output=True)
    status = Path("/proc/self/status").read_text()
    print(json.dumps([
        attempt(os.setuid, 0) != "None", attempt(os.setgroups, [0]) != "None",
        set(ids) == {"1000"}, su.returncode != 0,
        nested.returncode != 0, again.returncode != 0, "NoNewPrivs:\\t1" in status,
    ]))
    """
    assert await found(dedent(code)) == [True] * 7


async def test_a_program_that_kills_or_stops_its_keeper_only_loses_its_answer():
    result = await ran("import os\nprint('hi', flush=True)\nos.kill(os.getppid(), 9)")
    assert result.ended is Ended.BROKEN
    stopped = "import os, time\nos.kill(os.getppid(), 19)\ntime.sleep(60)"
    assert (await ran(stopped, timeout=0.5)).ended is Ended.TIME
    assert (await ran("import os\nos.kill(-1, 9)")).ended is Ended.BROKEN


async def test_a_forged_answer_reaches_no_file():
    header = {"ended": "exited", "code": 0, "seconds": 0.1, "sizes": [0, 0], "left_out": 0}
    header |= {"files": [["../../etc/cron.d/x", 1], ["/etc/x", 1], ["fine", 1]]}
    body = json.dumps(header).encode()
    forged = struct.pack(">I", len(body)) + body + b"abc"
    code = """
    keeper = os.getppid()
    with open(f"/proc/{keeper}/fd/1", "wb") as file:
        file.write(bytes.fromhex(sys.argv[2]))
    os.kill(keeper, 9)
    """
    result = await ran(TRY + dedent(code), forged.hex())
    assert result.ended in (Ended.BROKEN, Ended.EXITED)
    assert set(result.files) <= {"fine"}


# --- the end of its host


async def test_the_program_ends_when_whoever_runs_it_is_killed(tmp_path):
    made = program("import time\ntime.sleep(60)")
    script = f"""
    import asyncio, sys
    from tests.support.sandboxed import Program, sandbox
    code = b"import time; time.sleep(60)"
    made = Program("python", "main", {{"main": code}}, arguments=({made.arguments[0]!r},))
    asyncio.run(sandbox().run(made, 60))
    """
    host = await asyncio.create_subprocess_exec(
        sys.executable, "-c", dedent(script), cwd=Path(__file__).parents[2]
    )
    await _until(lambda: len(_inside(made)) > 0)
    host.kill()
    await host.wait()
    await _until(lambda: _inside(made) == [])


def _inside(made):
    return [line for line in left_of(made) if b"-c\0" not in line]


async def _until(true):
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.02)
