import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import wait_for

from lowmem_sentiment.system import memory
from lowmem_sentiment.system.errors import OutOfMemory
from lowmem_sentiment.system.memory import MB, Limit, Watch


def test_what_is_allocated_is_seen_and_the_peak_kept():
    before = memory.anonymous()
    with Watch() as watch:
        block = np.ones(100 * MB // 8)
        wait_for(lambda: watch.peak_anonymous - before > 95 * MB)
        del block
    assert memory.anonymous() - before < 50 * MB
    resident, anonymous = memory.resident_and_anonymous()
    assert memory.peak_resident() >= resident > anonymous


def test_the_alarm_is_given_once_at_92_percent():
    said = []
    limit = Limit(int((memory.anonymous() + 100 * MB) / Watch.ALARM), "a test")
    with Watch(limit, said.append) as watch:
        time.sleep(5 * watch.INTERVAL)
        assert not said
        block = np.ones(200 * MB // 8)
        wait_for(lambda: said)
        time.sleep(5 * watch.INTERVAL)
        del block
    assert len(said) == 1
    assert "of a test are used" in said[0]


def make_proc(tmp_path, mountinfo, cgroup):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "mountinfo").write_text(mountinfo)
    (tmp_path / "proc" / "cgroup").write_text(cgroup)
    return tmp_path / "proc"


def test_every_limit_above_the_process_is_found_in_version_2(tmp_path):
    mount = tmp_path / "cgroup"
    (mount / "user" / "job").mkdir(parents=True)
    (mount / "user" / "memory.max").write_text("700000000\n")
    (mount / "user" / "job" / "memory.max").write_text("max\n")
    proc = make_proc(tmp_path, f"30 23 0:26 / {mount} rw,nosuid - cgroup2 cgroup2 rw\n", "0::/user/job\n")
    limits = list(memory._cgroup_limits(proc))
    assert limits == [(700_000_000, f"cgroup {mount / 'user'}", mount / "user")]
    (mount / "user" / "memory.stat").write_text("anon 5000\nfile 9000\nshmem 20\n")
    assert limits[0].used() == 5020


def test_version_1_and_a_container_that_sees_a_part_of_the_tree(tmp_path):
    mount = tmp_path / "memory"
    (mount / "inner").mkdir(parents=True)
    (mount / "memory.limit_in_bytes").write_text("500000000\n")
    (mount / "inner" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (mount / "memory.stat").write_text("cache 9\nrss 1\ntotal_cache 99\ntotal_rss 1234\n")
    proc = make_proc(
        tmp_path,
        f"30 23 0:26 /docker/abc {mount} rw - cgroup cgroup rw,memory\n"
        "31 23 0:27 / /elsewhere rw - cgroup cgroup rw,cpu\n",
        "4:memory:/docker/abc/inner\n1:cpu:/docker/abc\n",
    )
    (limit,) = memory._cgroup_limits(proc)
    assert limit.bytes == 500_000_000
    assert limit.used() == 1234


def test_without_cgroups_free_memory_is_the_limit(tmp_path):
    assert list(memory._cgroup_limits(tmp_path / "none")) == []
    assert memory.find_limit().bytes > 0


def test_the_limit_of_a_real_cgroup_is_found():
    root = Path("/sys/fs/cgroup/memory" if Path("/sys/fs/cgroup/memory").is_dir() else "/sys/fs/cgroup")
    group = root / f"lowmem-test-{os.getpid()}"
    second = (root / "cgroup.controllers").exists()
    try:
        group.mkdir()
        (group / ("memory.max" if second else "memory.limit_in_bytes")).write_text("300000000")
        code = (
            f"open('{group}/cgroup.procs', 'w').write('0')\n"
            "from lowmem_sentiment.system.memory import find_limit\n"
            "limit = find_limit(); print(limit.bytes, 0 < limit.used() < 100_000_000, limit.source)"
        )
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no memory cgroup can be made here: {error}")
    finally:
        if group.is_dir():
            group.rmdir()
    size, used, source = done.stdout.split(maxsplit=2)
    assert 299_000_000 < int(size) <= 300_000_000
    assert used == "True"
    assert str(group) in source


def test_both_figures_are_those_of_the_status_file():
    status = memory.sizes("/proc/self/status")
    for figure, name in zip(memory.resident_and_anonymous(), ("VmRSS", "RssAnon"), strict=True):
        assert figure > 0 and abs(figure - status[name]) < 2 << 20


def test_too_few_threads_are_refused_and_none_is_left(monkeypatch):
    before, start = threading.active_count(), threading.Thread.start

    def refuse_the_third(thread):
        if threading.active_count() == before + 2:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse_the_third)
    memory.require_threads(2)
    with pytest.raises(OutOfMemory, match="thread 3 of the 9"):
        memory.require_threads(9)
    assert threading.active_count() == before
