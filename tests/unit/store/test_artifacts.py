import os
import subprocess
import sys

import pytest

from qingting.core.errors import BusyError, StoreError
from qingting.store.artifacts import ArtifactStore
from qingting.store.digests import DigestMemory
from qingting.store.lock import hold


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(tmp_path / "work")


def make(store, key="k" * 64, content=b"words"):
    attempt = store.new_attempt()
    (attempt / "output" / "a.txt").write_bytes(content)
    return store.commit(attempt, key, {"stage": "s"})


def test_a_committed_artifact_is_found_whole(store):
    artifact = make(store)
    found = store.find(artifact.key)
    assert found is not None
    assert (found / "a.txt").read_bytes() == b"words"
    assert found.digest == artifact.digest
    assert store.damage(found) is None
    assert list((store.work / "attempts").iterdir()) == []


def test_an_artifact_without_manifest_does_not_exist(store):
    artifact = make(store)
    (artifact.folder / "manifest.json").unlink()
    assert store.find(artifact.key) is None
    assert make(store).key == artifact.key  # and may be made again in its place


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda p: p.unlink(), "missing"),
        (lambda p: p.write_bytes(b"other words"), "size"),
        (lambda p: p.write_bytes(b"sword"), "changed"),
    ],
)
def test_touched_files_are_noticed(store, harm, said):
    artifact = make(store)
    harm(artifact / "a.txt")
    fresh = ArtifactStore(store.work)
    damage = fresh.damage(artifact)
    assert damage is not None
    assert said in damage


def test_digests_are_remembered_until_the_stamp_changes(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    os.utime(path, ns=(1, 1))  # long ago: the stamp has settled
    memory = DigestMemory(tmp_path / "digests.json")
    first = memory.of_file(path)
    memory.save()
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    again = DigestMemory(tmp_path / "digests.json")
    assert again.of_file(path) == first  # same size, time and inode: taken from memory, unread
    os.utime(path, ns=(2, 2))
    assert again.of_file(path) != first


def test_a_file_changed_a_moment_ago_is_not_remembered(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"one")
    memory = DigestMemory(tmp_path / "digests.json")
    memory.of_file(path)
    memory.save()
    assert not (tmp_path / "digests.json").exists()


def test_two_runs_in_one_folder_are_refused(tmp_path):
    work = tmp_path / "work"
    code = (
        "import sys, time; from pathlib import Path; from qingting.store.lock import hold\n"
        "with hold(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(work)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match=str(other.pid)), hold(work):
            pass
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    with hold(work):  # the lock went with the process
        pass


def test_a_file_in_place_of_the_folder_is_one_clear_error(tmp_path):
    (tmp_path / "work").write_text("")
    with pytest.raises((StoreError, FileExistsError, NotADirectoryError)):
        ArtifactStore(tmp_path / "work")


def test_a_damaged_manifest_names_the_file(store):
    artifact = make(store)
    (artifact.folder / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match=r"manifest\.json: damaged"):
        store.find(artifact.key)


def test_a_state_serves_again_only_for_the_same_input_bytes(store):
    (store.state("k" * 64, made_from="one") / "batch").write_text("answers of one")
    assert (store.state("k" * 64, made_from="one") / "batch").is_file()
    assert not (store.state("k" * 64, made_from="two") / "batch").exists()


def test_the_state_of_a_finished_stage_goes_at_the_next_start(store):
    artifact = make(store)
    (store.state(artifact.key, made_from="") / "checkpoint").write_text("large")
    unfinished = store.state("u" * 64, made_from="")
    store.clear_attempts()
    assert sorted(p.name for p in (store.work / "state").iterdir()) == [
        unfinished.name,
        f"{unfinished.name}.inputs",
    ]
