"""Speed and memory of ``qingting data check`` on 55,000 dialogues, about 466 MB of JSON.

Generates the same dialogues three ways (one array, JSON Lines, a folder of one file each), checks
each in a process of its own, prints MB/s and peak memory, and removes what it wrote.

    python benchmarks/data_check.py [--dialogues 55000] [--folder /tmp]
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_MEASURE = """
import json, resource, sys, time
from qingting.data.check import check
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start, cpu = time.perf_counter(), time.process_time()
report = check(sys.argv[1])
print(json.dumps({
    "n_dialogues": report.n_dialogues,
    "n_strictly_valid": report.n_strictly_valid,
    "n_bytes": report.n_bytes,
    "seconds": time.perf_counter() - start,
    "cpu_seconds": time.process_time() - cpu,
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "imports_mib": before / 1024,
}))
"""
_WORDS = (
    "我最近总是睡不着觉，心里很乱，不知道该怎么办。工作上的压力越来越大，家里人也不太理解我，"
    "有时候会突然觉得很难过，什么都不想做。我听到你说这段时间很辛苦，你愿意多讲讲吗？"
    "那天晚上发生了什么，你当时的感受是怎样的，我们可以一起慢慢看一看。"
)


def dialogues(n_dialogues: int) -> Iterator[bytes]:
    rng = random.Random(7)
    for _ in range(n_dialogues):
        turns = []
        for number in range(2 * rng.randint(8, 16)):
            start = rng.randrange(len(_WORDS) - 60)
            words = _WORDS[start : start + rng.randint(20, 60)] * rng.randint(1, 4)
            role = "counselor" if number % 2 else "client"
            turns.append({"role": role, "content": f"{rng.randrange(10**6)}，{words}"})
        yield json.dumps(turns, ensure_ascii=False, indent=1).encode()


def write(form: str, folder: Path, n_dialogues: int) -> Path:
    path = folder / form
    if form == "folder of files":
        path.mkdir()
        for number, dialogue in enumerate(dialogues(n_dialogues)):
            (path / f"{number}.json").write_bytes(dialogue)
        return path
    is_array = form == "one array"
    with path.open("wb") as file:
        before = b"[" if is_array else b""
        for dialogue in dialogues(n_dialogues):
            if is_array:
                record = b'{"conversations": ' + dialogue + b"}"
            else:
                record = json.dumps({"messages": json.loads(dialogue)}, ensure_ascii=False).encode()
            file.write(before + record)
            before = b",\n" if is_array else b"\n"
        file.write(b"]\n" if is_array else b"\n")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dialogues", type=int, default=55_000)
    parser.add_argument("--folder", type=Path, default=None)
    arguments = parser.parse_args()
    print(f"{'form':<16} {'dialogues':>9} {'MB':>6} {'MB/s':>6} {'MB/s CPU':>9} {'peak MiB':>9}")
    for form in ("one array", "JSON Lines", "folder of files"):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            path = write(form, Path(folder), arguments.dialogues)
            command = [sys.executable, "-c", _MEASURE, str(path)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = json.loads(output)
        megabytes = found["n_bytes"] / 1e6
        print(
            f"{form:<16} {found['n_dialogues']:>9,} {megabytes:>6.0f} "
            f"{megabytes / found['seconds']:>6.0f} {megabytes / found['cpu_seconds']:>9.0f} "
            f"{found['peak_mib']:>9.0f}"
        )


if __name__ == "__main__":
    main()
