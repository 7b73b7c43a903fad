import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lowmem_sentiment.system.workers import in_order


def run(code: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


def test_results_come_in_order_from_several_processes():
    done = run("""
        import os, time
        from lowmem_sentiment.system.workers import in_order
        def work(n):
            time.sleep(0.02 if n % 2 else 0)
            return n * n, os.getpid()
        results = list(in_order(work, range(20), 2))
        assert [r for r, _ in results] == [n * n for n in range(20)]
        pids = {pid for _, pid in results}
        print(len(pids), os.getpid() in pids)
    """)
    assert done.stdout.split() == ["2", "False"], done.stderr


def test_one_item_is_done_in_this_process():
    assert list(in_order(lambda item: os.getpid(), [1], 2)) == [os.getpid()]
    assert list(in_order(str, [], 2)) == []


def test_items_are_not_read_far_ahead():
    done = run("""
        from lowmem_sentiment.system.workers import in_order
        read = []
        def items():
            for n in range(1000):
                read.append(n)
                yield n
        results = in_order(abs, items(), 2)
        next(results)
        print(len(read))
        results.close()
    """)
    assert int(done.stdout) <= 6, done.stderr


def test_a_killed_worker_is_one_line():
    done = run("""
        import os, signal
        from lowmem_sentiment.system.errors import Unavailable
        from lowmem_sentiment.system.workers import in_order
        def work(n):
            if n == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            return n
        try:
            list(in_order(work, range(20), 2))
        except Unavailable as error:
            print(error)
    """)
    assert "a worker process was killed (out of memory?); try --workers 1" in done.stdout, done.stderr


def test_a_workers_error_is_the_parents():
    done = run("""
        from lowmem_sentiment.system.errors import DataError
        from lowmem_sentiment.system.workers import in_order
        def work(n):
            if n == 5:
                raise DataError("row 5 is bad")
            return n
        try:
            list(in_order(work, range(20), 2))
        except DataError as error:
            print(error)
    """)
    assert done.stdout == "row 5 is bad\n", done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux'")
def test_workers_end_with_a_parent_that_is_killed():
    code = """
        import os, time
        from lowmem_sentiment.system.workers import in_order
        def work(n):
            if n > 1:
                time.sleep(50)
            return os.getpid()
        for pid in in_order(work, range(9), 2):
            print(pid, flush=True)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    worker = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(100):
        try:
            state = Path(f"/proc/{worker}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":  # ended; whoever adopts orphans here has not looked yet
            return
        signal.sigtimedwait([], 0.05)
    pytest.fail(f"process {worker} is alive ({state})")
