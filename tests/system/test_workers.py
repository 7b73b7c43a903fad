import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from helpers import wait_for

from lowmem_sentiment.system.workers import in_order


def run(code: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=600,
        **options,
    )


def test_results_come_in_order_from_several_processes():
    done = run("""
        import multiprocessing, os, time
        from lowmem_sentiment.system.workers import in_order
        both = multiprocessing.get_context("fork").Barrier(2)
        def work(n):
            if n < 2:
                both.wait()
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


def test_a_pool_that_may_not_start_ends_in_an_error_and_leaves_no_worker():
    done = run("""
        import resource
        from lowmem_sentiment.system.workers import in_order
        resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
        list(in_order(abs, range(9), 8))
    """)
    assert done.stderr.endswith("OSError: [Errno 24] Too many open files\n")
    done = run("""
        import multiprocessing, threading
        from lowmem_sentiment.system.workers import in_order
        def refuse(thread):
            raise RuntimeError("can't start new thread")
        threading.Thread.start = refuse
        try:
            list(in_order(abs, range(9), 2))
        finally:
            print(multiprocessing.active_children())
    """)
    assert "OutOfMemory: the system refused thread 1 of the 4 that are needed" in done.stderr
    assert done.stdout == "[]\n"


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
                time.sleep(10_000)
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

    def ended() -> bool:
        try:
            state = Path(f"/proc/{worker}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        return state == "Z"  # whoever adopts orphans here has not looked yet

    wait_for(ended)


def test_ctrl_c_that_python_swallows_is_raised_all_the_same():
    done = run("""
        import os, signal
        from lowmem_sentiment.system.workers import in_order
        class Swallowing:
            def __del__(self):  # an exception here is printed and ignored, as around a fork
                os.kill(os.getpid(), signal.SIGINT)
        taken = 0
        try:
            for n in in_order(abs, range(1000), 2):
                taken += 1
                if n == 5:
                    swallowing = Swallowing()
                    del swallowing
        except KeyboardInterrupt:
            print("stopped", taken < 20, signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    """)
    assert done.stdout == "stopped True True\n", done.stderr


def test_ctrl_c_around_a_fork_is_raised_and_no_worker_prints():
    done = run("""
        import os, signal
        from lowmem_sentiment.system.workers import in_order
        interrupt = lambda: os.kill(os.getpid(), signal.SIGINT)
        os.register_at_fork(after_in_parent=interrupt, after_in_child=interrupt)
        try:
            print(len(list(in_order(abs, range(1000), 2))))
        except KeyboardInterrupt:
            print("stopped")
    """)
    assert (done.stdout, done.stderr) == ("stopped\n", "")


def test_the_callers_own_handler_of_ctrl_c_is_kept():
    done = run("""
        import os, signal
        from lowmem_sentiment.system.workers import in_order
        calls = []
        signal.signal(signal.SIGINT, lambda *_: calls.append(1))
        for n in in_order(abs, range(20), 2):
            if n == 5:
                os.kill(os.getpid(), signal.SIGINT)
        print(n, calls)
    """)
    assert done.stdout == "19 [1]\n", done.stderr
