import json
import os
import signal
import socket
import threading
import time

import pytest
from helpers import free_addresses, run_cli

from lowmem_sentiment.distributed import rendezvous
from lowmem_sentiment.distributed.rendezvous import wait_for_workers
from lowmem_sentiment.distributed.tf_config import Cluster, find_cluster, parse
from lowmem_sentiment.system.errors import SettingsError, Unavailable


def config(workers=("a:1", "b:1"), index=0, **other):
    return {"cluster": {"worker": list(workers)}, "task": {"type": "worker", "index": index}, **other}


def test_a_cluster_is_its_workers_in_order_and_this_ones_place():
    assert parse(json.dumps(config(index=1))) == Cluster(("a:1", "b:1"), 1)
    assert parse(json.dumps(config(index="1"))).index == 1  # as some launchers write it
    assert Cluster(("a:1", "b:1"), 0).name(1) == "worker 1 (b:1)"


def test_a_chief_comes_before_the_workers():
    cluster = {"worker": ["b:1", "[::1]:2"], "chief": ["a:1"]}
    for job, index, place in (("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)):
        text = json.dumps({"cluster": cluster, "task": {"type": job, "index": index}})
        assert parse(text) == Cluster(("a:1", "b:1", "[::1]:2"), place)


WORKER = {"type": "worker", "index": 0}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("{'cluster'", "TF_CONFIG is not JSON"),
        ([], r"TF_CONFIG: the whole is \[\], expected an object"),
        ({"task": WORKER}, r"cluster is missing"),
        ({"cluster": ["a:1"], "task": WORKER}, r'cluster is \["a:1"\], expected an object'),
        ({"cluster": {}, "task": WORKER}, r"cluster is \{\}, expected at least one worker"),
        ({"cluster": {"worker": "a:1"}, "task": WORKER}, 'cluster.worker is "a:1", expected a list'),
        ({"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": WORKER}, r"cluster is .*only the jobs"),
        (
            {"cluster": {"worker": ["a:1"], "chief": ["b:1", "c:1"]}, "task": WORKER},
            "chief is .*one addr",
        ),
        (config(["a:1", "b"]), "address in cluster is 'b', expected HOST:PORT"),
        (config(["a:1", ":2"]), "':2', expected HOST:PORT"),
        (config(["a:1", "b:0"]), "'b:0', expected HOST:PORT"),
        (config(["a:1", "b:x"]), "'b:x', expected HOST:PORT"),
        (config(["a:1", "b:65536"]), "'b:65536', expected HOST:PORT"),
        (config(["a:1", 7]), r"cluster.worker\[1\] is 7, expected a text"),
        (config(["a:1", "a:1"]), "cluster is 'a:1', expected each address once"),
        (config(task=None), "task is null, expected an object"),
        (config(task={"index": 0}), "task.type is missing"),
        (config(task={"type": "ps", "index": 0}), "task.type is 'ps', expected one of worker"),
        (config(task={"type": "chief", "index": 0}), "task.type is 'chief', expected one of worker"),
        (config(index=2), "task.index is 2, expected 0 to 1"),
        (config(index=-1), "task.index is -1, expected 0 to 1"),
        (config(index=True), "task.index is true, expected a whole number"),
        (config(index=0.5), "task.index is 0.5, expected a whole number"),
        (config(index="first"), "task.index is 'first', expected 0 to 1"),
    ],
)
def test_a_wrong_tf_config_is_refused_with_the_field_named(wrong, told):
    with pytest.raises(SettingsError, match=told):
        parse(wrong if isinstance(wrong, str) else json.dumps(wrong))


def test_no_cluster_and_a_cluster_of_one_are_ordinary_training(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert find_cluster() is None
    for text in ("", json.dumps(config(["a:1"]))):
        monkeypatch.setenv("TF_CONFIG", text)
        assert find_cluster() is None
    monkeypatch.setenv("TF_CONFIG", json.dumps(config()))
    assert find_cluster() == Cluster(("a:1", "b:1"), 0)


def test_the_command_refuses_a_wrong_tf_config_in_one_line(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps(config(index=9)))
    done = run_cli("train", dataset.directory, "--run", tmp_path / "run")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("lowmem-sentiment: error: TF_CONFIG: task.index is 9, expected 0 to 1")
    assert not (tmp_path / "run").exists()


def port(address):
    return int(address.rpartition(":")[2])


def come_together(clusters, seconds=100):
    """Let each come in a thread of its own; give what it ended with: its index, or what it raised."""
    ends, servers = {}, []

    def come(nth, cluster):
        try:
            wait_for_workers(cluster, seconds, lambda line: None)
            servers.append(socket.create_server(("", port(cluster.workers[cluster.index]))))
            threading.Thread(target=answer_as_grpc, args=(servers[-1],), daemon=True).start()
            ends[nth] = cluster.index
        except Exception as error:
            ends[nth] = error

    threads = [threading.Thread(target=come, args=each) for each in enumerate(clusters)]
    for thread in threads:
        thread.start()
        time.sleep(0.3)
        if thread is not threads[-1]:
            assert not ends
    for thread in threads:
        thread.join(seconds + 5)
    for server in servers:
        server.close()
    return ends


def answer_as_grpc(server):
    """Say what TensorFlow's server says to whoever connects: the settings frame of HTTP/2."""
    while True:
        try:
            with server.accept()[0] as connection:
                connection.sendall(b"\0\0\x18\x04\0\0\0\0\0" + bytes(24))
        except OSError:
            return


def test_workers_wait_for_the_last_to_come():
    workers = free_addresses(3)
    assert come_together([Cluster(workers, index) for index in range(3)]) == {0: 0, 1: 1, 2: 2}


def test_a_worker_that_never_comes_is_named_after_the_timeout():
    workers, said = free_addresses(3), []
    with socket.create_server(("127.0.0.1", port(workers[1]))) as server:
        threading.Thread(target=answer_as_grpc, args=(server,), daemon=True).start()
        with pytest.raises(Unavailable) as raised:
            wait_for_workers(Cluster(workers, 0), 0.6, said.append)
    absent = f"worker 2 ({workers[2]})"
    assert str(raised.value).startswith(f"{absent} did not answer within 0.6 s (--cluster-timeout)")
    assert said == [f"waiting for {absent}"]


@pytest.mark.parametrize("says", [b"", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_a_frozen_worker_or_another_server_is_none(says):
    """The kernel takes connections for a process that is frozen."""
    workers = free_addresses(2)
    with socket.create_server(("127.0.0.1", port(workers[1]))) as server:

        def answer():
            connections.append(server.accept()[0])
            connections[0].sendall(says)

        connections = []
        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(Unavailable, match="worker 1"):
            wait_for_workers(Cluster(workers, 0), 0.5, lambda line: None)
    for connection in connections:
        connection.close()


@pytest.mark.slow
def test_two_workers_of_one_index_are_told():
    """Each finds, at the other's address, one that goes by its own index."""
    one, other = free_addresses(2)
    ends = come_together([Cluster((one, other), 0), Cluster((other, one), 0)], 2)
    for error in ends.values():
        assert isinstance(error, SettingsError)
        assert "is worker 1 here, but says that it is worker 0" in str(error)


def test_a_port_that_is_taken_is_told():
    workers = free_addresses(2)
    with (
        socket.create_server(("127.0.0.1", port(workers[0]))),
        pytest.raises(Unavailable, match=f"port {port(workers[0])}, this worker's own in TF_CONFIG"),
    ):
        wait_for_workers(Cluster(workers, 0), 1, lambda line: None)


def test_only_the_address_that_is_named_is_listened_at():
    [address] = free_addresses(1)
    with rendezvous._listen("127.0.0.1", port(address)) as listener:
        assert listener.getsockname()[:2] == ("127.0.0.1", port(address))


def test_a_name_that_is_no_address_of_this_machine_is_listened_for_everywhere():
    [address] = free_addresses(1)
    with rendezvous._listen("192.0.2.1", port(address)) as listener:  # of RFC 5737, on no machine
        assert listener.getsockname()[0] == "0.0.0.0"


@pytest.mark.slow
def test_a_start_ends_where_a_worker_is_lost_just_after_its_answer(dataset, tmp_path):
    """Once TensorFlow waits for it, only the kernel can end the process."""
    workers = free_addresses(2)

    def greet_once():
        server = socket.create_server(("127.0.0.1", port(workers[1])))
        with server, server.accept()[0] as connection:
            connection.sendall(rendezvous._GREETING + b"1\n")

    threading.Thread(target=greet_once, daemon=True).start()
    task = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": 0}}
    done = run_cli(
        "train", dataset.directory, "--run", tmp_path / "run", "--cluster-timeout", 4,
        env={**os.environ, "TF_CONFIG": json.dumps(task)},
    )  # fmt: skip
    assert done.returncode == -signal.SIGALRM
    assert not (tmp_path / "run").exists()
