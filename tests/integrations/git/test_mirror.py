"""Plain Git against `git http-backend` and sshd (reference measurements.md, section "Git")."""

from __future__ import annotations

import subprocess
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from integrations.errors import Conflict, IntegrationError, NotFound, Rejected, Unauthorized, Unavailable
from integrations.git import Commit, Mirror, Person, Remote, Signing
from tests.gitserver import PASSWORD, USER, GitOverHttp, GitOverSsh, git, make_repository
from tests.integrations.git.conftest import FILES, MANIFEST

PLACE = "apps/shop/deployment.yml"
WHEN = datetime(2026, 5, 2, 10, 30, tzinfo=UTC)
ROBOT = Person("Slipway", "slipway@example.com")


def write(
    mirror: Mirror, base: str, files: dict[str, bytes] | None = None, *, branch: str = "main", **more: object
) -> Commit:
    return mirror.create_commit(
        branch,
        base,
        files or {PLACE: MANIFEST.replace(b"1.0.0", b"1.1.0")},
        "Promote shop\n\nIt is time\n\nPromotion-Id: 42\nRequested-by: Rin\n",
        author=Person("Rin Satō", "rin@example.com"),
        committer=ROBOT,
        when=WHEN,
        **more,  # type: ignore[arg-type]
    )


def push_by_hand(bare: Path, path: str, content: bytes) -> str:
    """Somebody else's commit on main."""
    blob = git(bare, "hash-object", "-w", "--stdin", data=content).strip()
    index = {"GIT_INDEX_FILE": str(bare / "by-hand")}
    run = ["git", "-C", str(bare)]
    subprocess.run([*run, "read-tree", "main"], check=True, env=index)
    subprocess.run(
        [*run, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}"], check=True, env=index
    )
    tree = subprocess.run([*run, "write-tree"], check=True, env=index, capture_output=True, text=True).stdout
    commit = git(bare, "commit-tree", "-p", "main", "-m", f"Change {path}", tree.strip()).strip()
    git(bare, "update-ref", "refs/heads/main", commit)
    return commit


def test_a_commit_changes_its_lines_and_nothing_else(mirror: Mirror, bare: Path) -> None:
    base = mirror.tip("main")
    made = write(mirror, base)
    assert git(bare, "rev-parse", "main").strip() == made.id
    assert made.parent_ids == (base,)
    assert (made.author_name, made.author_email) == ("Rin Satō", "rin@example.com")
    assert (made.committer_name, made.authored_at) == ("Slipway", WHEN)
    assert made.trailers == {"Promotion-Id": "42", "Requested-by": "Rin"}
    changed = [line for line in git(bare, "diff", "-U0", base, made.id).splitlines() if line[:1] in "+-"]
    line = MANIFEST.decode().strip()
    assert changed[2:] == [f"-{line}", f"+{line.replace('1.0.0', '1.1.0')}"]
    git(bare, "fsck", "--strict")


def test_modes_and_odd_names_stay(mirror: Mirror, bare: Path) -> None:
    files = {"apps/shop/run.sh": b"#!/bin/sh\nexit 1\n", "apps/café one/values.yaml": b"tag: 2\r\n"}
    made = write(mirror, mirror.tip("main"), files)
    assert mirror.read(made.id, list(files)) == files
    listed = git(bare, "ls-tree", "-r", "-z", made.id).split("\0")
    modes = {line.split("\t")[1]: line[:6] for line in listed if line}
    assert modes["apps/shop/run.sh"] == "100755"
    assert modes["apps/café one/values.yaml"] == "100644"


def test_a_tree_is_listed_folder_by_folder_or_whole(mirror: Mirror) -> None:
    tip = mirror.tip("main")
    assert {entry.path: entry.type for entry in mirror.entries(tip)} == {"apps": "tree", "README.md": "blob"}
    below = {entry.path for entry in mirror.entries(tip, "apps", recursive=True)}
    assert below == {"apps/shop", "apps/café one", *(name for name in FILES if name.startswith("apps/"))}
    assert mirror.entries(tip, "nowhere") == []
    assert mirror.read(tip, ["nowhere", "README.md"]) == {"README.md": FILES["README.md"]}


def test_only_what_is_read_is_fetched(mirror: Mirror) -> None:
    tip = mirror.tip("main")
    local = ["git", f"--git-dir={mirror.path}", "cat-file", "--batch-check", "--batch-all-objects"]

    def blobs() -> int:
        said = subprocess.run(local, check=True, capture_output=True, text=True).stdout
        return sum(" blob " in line for line in said.splitlines())

    assert blobs() == 0
    mirror.read(tip, [PLACE])
    assert blobs() == 1
    write(mirror, tip)
    assert blobs() == 2


def test_a_moved_tip_is_a_conflict_and_the_stranger_s_commit_stays(mirror: Mirror, bare: Path) -> None:
    base = mirror.tip("main")
    stranger = push_by_hand(bare, "README.md", b"By hand\n")
    with pytest.raises(Conflict):
        write(mirror, base)
    assert git(bare, "rev-parse", "main").strip() == stranger
    made = write(mirror, mirror.tip("main"))
    assert made.parent_ids == (stranger,)


def test_a_new_branch_is_made_once(mirror: Mirror, bare: Path) -> None:
    base = mirror.tip("main")
    made = write(mirror, base, branch="slipway/shop", is_new_branch=True)
    assert git(bare, "rev-parse", "slipway/shop").strip() == made.id
    with pytest.raises(Conflict):
        write(mirror, base, {"README.md": b"x\n"}, branch="slipway/shop", is_new_branch=True)
    assert git(bare, "rev-parse", "main").strip() == base


def test_a_write_is_found_by_its_trailer_and_not_by_words_that_look_like_it(
    mirror: Mirror, bare: Path
) -> None:
    base = mirror.tip("main")
    tree = git(bare, "rev-parse", "main^{tree}").strip()
    forged = "Talk\n\nPromotion-Id: 42\n\nthat line is no trailer, for text follows it\n"
    commit = git(bare, "commit-tree", "-p", "main", "-m", forged, tree).strip()
    git(bare, "update-ref", "refs/heads/main", commit)
    find = {"base": base, "key": "Promotion-Id", "value": "42"}
    assert mirror.find_commit_by_trailer("main", **find) is None
    made = write(mirror, mirror.tip("main"))
    push_by_hand(bare, "README.md", b"Later\n")
    found = mirror.find_commit_by_trailer("main", **find)
    assert found is not None
    assert found.id == made.id
    assert mirror.find_commit_by_trailer("main", base=base, key="promotion-id", value="4") is None
    assert mirror.find_commit_by_trailer("main", base="0" * 40, key="Promotion-Id", value="42") == found


def test_who_changed_what_is_told(mirror: Mirror, bare: Path) -> None:
    base = mirror.tip("main")
    stranger = push_by_hand(bare, "README.md", b"By hand\n")
    tip = write(mirror, mirror.tip("main")).id
    told = [(found.id, found.author_name, found.title, found.paths) for found in mirror.commits(base, tip)]
    assert told == [
        (tip, "Rin Satō", "Promote shop", (PLACE,)),
        (stranger, "Ann Other", "Change README.md", ("README.md",)),
    ]
    assert mirror.is_ancestor(base, tip)
    assert not mirror.is_ancestor(tip, base)
    with pytest.raises(NotFound):
        mirror.is_ancestor(base, "1" * 40)


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", ".git/config", "apps//shop", ""])
def test_paths_that_lead_out_are_refused(mirror: Mirror, path: str) -> None:
    with pytest.raises(Rejected):
        mirror.read(mirror.tip("main"), [path])


def test_links_and_missing_files_are_not_written_to(mirror: Mirror, bare: Path) -> None:
    link = git(bare, "hash-object", "-w", "--stdin", data=b"/etc/passwd").strip()
    lines = git(bare, "ls-tree", "main") + f"120000 blob {link}\tlink.yml\n"
    tree = git(bare, "mktree", data=lines.encode()).strip()
    commit = git(bare, "commit-tree", "-p", "main", "-m", "Link", tree).strip()
    git(bare, "update-ref", "refs/heads/main", commit)
    base = mirror.tip("main")
    with pytest.raises(Rejected, match="no ordinary file"):
        write(mirror, base, {"link.yml": b"x"})
    with pytest.raises(NotFound, match=r"missing\.yml does not exist"):
        write(mirror, base, {"missing.yml": b"x"})
    assert git(bare, "rev-parse", "main").strip() == base


def test_a_missing_branch_and_a_missing_repository_are_not_found(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="branch does not exist"):
        mirror.tip("nowhere")
    elsewhere = Mirror(tmp_path / "cache", replace(mirror.remote, url=mirror.remote.url + "-other.git"))
    with pytest.raises(NotFound, match="repository does not exist"):
        elsewhere.tip("main")


def test_a_hook_that_declines_is_quoted(mirror: Mirror, bare: Path) -> None:
    hook = bare / "hooks" / "update"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\necho 'Freeze until Monday: ask the release manager' >&2\nexit 1\n")
    hook.chmod(0o755)
    base = mirror.tip("main")
    with pytest.raises(Rejected, match="Freeze until Monday: ask the release manager"):
        write(mirror, base)
    assert git(bare, "rev-parse", "main").strip() == base


def test_a_damaged_copy_is_made_anew(mirror: Mirror) -> None:
    tip = mirror.tip("main")
    (mirror.path / "HEAD").write_text("nonsense")
    assert mirror.tip("main") == tip
    for pack in (mirror.path / "objects" / "pack").glob("*.pack"):
        pack.chmod(0o600)
        pack.write_bytes(b"PACK nonsense")
    assert mirror.read(mirror.tip("main"), [PLACE]) == {PLACE: MANIFEST}


def test_writers_that_share_a_copy_lose_nothing(mirror: Mirror, bare: Path) -> None:
    """Five at once, and who is refused does it again on the new tip: one commit each."""

    def work(number: int) -> None:
        path = f"apps/app-{number}.yml"
        for _ in range(60):
            try:
                write(mirror, mirror.tip("main"), {path: b"tag: 2\n"})
            except Conflict:
                continue
            return

    names = {f"apps/app-{number}.yml": b"tag: 1\n" for number in range(5)}
    for name, content in names.items():
        push_by_hand(bare, name, content)
    before = int(git(bare, "rev-list", "--count", "main"))
    threads = [threading.Thread(target=work, args=[number]) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert int(git(bare, "rev-list", "--count", "main")) == before + 5
    tip = mirror.tip("main")
    assert mirror.read(tip, list(names)) == dict.fromkeys(names, b"tag: 2\n")


def test_wrong_credentials_say_so_and_are_not_shown(
    http: GitOverHttp, ssh: GitOverSsh, bare: Path, tmp_path: Path
) -> None:
    wrong = Remote(f"{http.url}/{bare.name}", username=USER, password="not the password")
    with pytest.raises(Unauthorized) as refused:
        Mirror(tmp_path, wrong).tip("main")
    assert "not the password" not in str(refused.value)
    url = f"{ssh.url}/{bare.name}"
    with pytest.raises(Unauthorized, match="No host key is known"):
        Mirror(tmp_path, Remote(url, ssh_key=ssh.key)).tip("main")
    other_host = ssh.known_hosts.split(" ")[0] + " " + PUBLIC_KEY + "\n"
    with pytest.raises(Unauthorized, match="another host key"):
        Mirror(tmp_path, Remote(url, ssh_key=ssh.key, known_hosts=other_host)).tip("main")
    with pytest.raises(Unauthorized):
        Mirror(tmp_path, Remote(url, ssh_key="no key at all", known_hosts=ssh.known_hosts)).tip("main")


PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


def test_an_outage_is_unavailable_and_a_lost_answer_is_found_again(
    http: GitOverHttp, bare: Path, tmp_path: Path
) -> None:
    mirror = Mirror(tmp_path, Remote(f"{http.url}/{bare.name}", username=USER, password=PASSWORD))
    base = mirror.tip("main")
    http.broken = True
    try:
        with pytest.raises(Unavailable):
            mirror.tip("main")
    finally:
        http.broken = False
    http.drop_answers_to = "git-receive-pack"
    try:
        # The list of refs is dropped as well, so the write is known not to have happened.
        with pytest.raises(IntegrationError):
            write(mirror, base)
    finally:
        http.drop_answers_to = ""
    assert mirror.tip("main") == base
    http.drop_answers_to = f"{bare.name}/git-receive-pack"
    try:
        with pytest.raises(Unavailable):
            write(mirror, base)
    finally:
        http.drop_answers_to = ""
    found = mirror.find_commit_by_trailer("main", base=base, key="Promotion-Id", value="42")
    assert found is not None
    assert git(bare, "rev-list", "--count", f"{base}..main").strip() == "1"


def test_secrets_stand_neither_in_arguments_nor_in_the_copy(
    http: GitOverHttp, bare: Path, tmp_path: Path
) -> None:
    seen: set[str] = set()
    done = threading.Event()

    def spy() -> None:
        while not done.is_set():
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(entry.read_bytes().decode(errors="replace"))
                except OSError:
                    continue

    watcher = threading.Thread(target=spy)
    watcher.start()
    mirror = Mirror(tmp_path / "cache", Remote(f"{http.url}/{bare.name}", username=USER, password=PASSWORD))
    write(mirror, mirror.tip("main"))
    done.set()
    watcher.join()
    assert any("git-remote-http" in line or "fetch" in line for line in seen)
    assert not [line for line in seen if PASSWORD in line or "Basic" in line]
    kept = [path.read_bytes() for path in mirror.path.rglob("*") if path.is_file()]
    assert not [content for content in kept if PASSWORD.encode() in content or b"Authorization" in content]


def test_commits_are_signed_with_an_ssh_key(http: GitOverHttp, bare: Path, tmp_path: Path) -> None:
    key = tmp_path / "signing"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    mirror = Mirror(tmp_path / "cache", Remote(f"{http.url}/{bare.name}", username=USER, password=PASSWORD))
    made = write(mirror, mirror.tip("main"), signing=Signing("ssh", key.read_text()))
    signers = tmp_path / "signers"
    signers.write_text(f"slipway@example.com {key.with_suffix('.pub').read_text()}")
    settings = ("-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={signers}")
    git(bare, *settings, "verify-commit", made.id)
    assert made.trailers["Promotion-Id"] == "42"
    with pytest.raises(Unauthorized, match="signing key cannot be used"):
        write(mirror, made.id, {"README.md": b"x\n"}, signing=Signing("ssh", "no key"))
    assert git(bare, "rev-parse", "main").strip() == made.id


def test_commits_are_signed_with_an_openpgp_key(http: GitOverHttp, bare: Path, tmp_path: Path) -> None:
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", ""]
    subprocess.run([*gpg, "--quick-gen-key", "Slipway <slipway@example.com>", "ed25519"], check=True)
    export = [*gpg, "--armor", "--export-secret-keys"]
    key = subprocess.run(export, check=True, capture_output=True, text=True).stdout
    mirror = Mirror(tmp_path / "cache", Remote(f"{http.url}/{bare.name}", username=USER, password=PASSWORD))
    made = write(mirror, mirror.tip("main"), signing=Signing("openpgp", key))
    verify = ["git", "-C", str(bare), "verify-commit", made.id]
    environ = {"GNUPGHOME": str(home), "PATH": "/usr/bin:/bin"}
    subprocess.run(verify, check=True, capture_output=True, env=environ)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c id",
        "file:///etc",
        "-oProxyCommand=id:x",
        "/srv/git/x",
        "https://user:secret@host/x y",
        "host:-x",
    ],
)
def test_addresses_that_are_commands_are_refused(url: str) -> None:
    with pytest.raises(Rejected):
        Remote(url)


@pytest.mark.parametrize("branch", ["-x", "a..b", "a b", "@{-1}", "x.lock", "a//b", "a~1", "", "x/.x"])
def test_names_that_are_no_branches_are_refused(mirror: Mirror, branch: str) -> None:
    with pytest.raises(Rejected):
        mirror.tip(branch)


def test_an_empty_repository_has_no_branch(http: GitOverHttp, root: Path, tmp_path: Path) -> None:
    empty = make_repository(root / "empty.git", {})
    with pytest.raises(NotFound):
        Mirror(tmp_path, Remote(f"{http.url}/{empty.name}", username=USER, password=PASSWORD)).tip("main")
