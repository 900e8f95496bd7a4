"""--max-memory: the default, and the connections that are closed above it."""

from contextlib import ExitStack, suppress
from dataclasses import replace

import pytest

from gearman.commands import MAX_PACKET
from gearman.server.connections.relief import SMALL
from gearman.server.settings.config import Config
from gearman.server.settings.memory import budget, default_budget, machine_memory
from tests.server.net.facts.test_limits import limits
from tests.server.net.test_large_results import warnings
from tests.server.net.test_listener import LOCAL, running
from tests.server.protocols.http.test_http import WEB, connect
from tests.server.protocols.test_memcached import CONFIG as CACHE
from tests.servers import until
from tests.wire import packet

__all__ = ["running", "warnings"]

KB, MB, GB = 1024, 1024**2, 1024**3


class TestBudget:
    @pytest.mark.parametrize(
        ("memory", "budget"),
        [
            *((512 * MB, 256 * MB), (GB, 512 * MB), (2 * GB, 1280 * MB)),
            *((8 * GB, 5888 * MB), (0, 0)),
        ],
    )
    def test_machine_keeps_a_quarter_and_some_or_half_if_it_is_small(
        self, memory, budget
    ):
        assert default_budget(memory) == budget

    def test_it_is_that_of_this_machine_if_nothing_is_said(self):
        total = default_budget(machine_memory())
        most = total * 3 // 4
        assert most > 0
        assert budget(Config()) == (total, most, min(MAX_PACKET, most))

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({"max_memory": 4 * MB}, (4 * MB, 3 * MB, 3 * MB)),
            ({"max_memory": 4 * MB, "max_job_memory": MB}, (4 * MB, MB, 3 * MB)),
            ({"max_memory": 4 * MB, "max_packet": KB}, (4 * MB, 3 * MB, KB)),
            ({"max_memory": 4 * MB, "max_job_memory": 0}, (4 * MB, 0, 3 * MB)),
            ({"max_memory": 0}, (0, 0, MAX_PACKET)),
        ],
    )
    def test_what_is_said_counts(self, settings, expected):
        assert budget(Config(**settings)) == expected


class TestMachine:
    """Files as in Linux's /proc and /sys, in a folder."""

    def memory(self, folder, groups: str, **files: str) -> int:
        (folder / "self").mkdir()
        (folder / "self" / "cgroup").write_text(groups)
        for path, text in files.items():
            file = folder.joinpath(*path.split("__"))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.with_name(file.name.replace("_max", ".max")).write_text(text)
        return machine_memory(folder, folder)

    def test_limit_of_the_cgroup_counts(self, tmp_path):
        assert self.memory(tmp_path, "0::/a/b\n", a__b__memory_max="7000\n") == 7000

    def test_limit_of_a_group_that_it_is_in_counts(self, tmp_path):
        files = {"a__b__memory_max": "max\n", "a__memory_max": "5000\n"}
        assert self.memory(tmp_path, "0::/a/b\n", **files) == 5000

    def test_limit_of_the_root_counts_in_a_container(self, tmp_path):
        assert self.memory(tmp_path, "0::/not/seen\n", memory_max="6000\n") == 6000

    def test_older_cgroups_count(self, tmp_path):
        (tmp_path / "memory" / "a").mkdir(parents=True)
        limit = tmp_path / "memory" / "a" / "memory.limit_in_bytes"
        limit.write_text("4000\n")
        groups = "5:cpu,cpuacct:/a\n3:memory:/a\n0::/\n"
        assert self.memory(tmp_path, groups) == 4000

    def test_machine_counts_where_there_is_no_limit(self, tmp_path):
        whole = machine_memory(tmp_path, tmp_path)
        assert whole > 64 * MB
        assert self.memory(tmp_path, "0::/\n", memory_max="max\n") == whole


# The memory of an incomplete submission.
HALF = packet("SUBMIT_JOB_BG", b"f", b"", b"w" * 2 * MB)[:-1]

LITTLE = replace(LOCAL, max_memory=8 * MB)


def used(peer, of: bytes = b"max-memory-buffers") -> int:
    return int(limits(peer)[of][1])


class TestConnections:
    def test_half_packets_count_until_they_are_whole_or_given_up(self, running):
        with running(LITTLE) as server, server.peer() as polite:
            before = used(polite)
            with server.peer() as one, server.peer() as two:
                one.send_bytes(HALF)
                two.send_bytes(HALF)
                until(lambda: used(polite) - before >= 4 * MB)
                one.send_bytes(b"w")
                one.expect("JOB_CREATED")
                until(lambda: used(polite) - before <= 3 * MB)
                assert used(polite, b"max-memory-jobs") > 2 * MB
            until(lambda: used(polite) == before)

    @pytest.mark.parametrize(
        ("protocol", "half"),
        [
            (WEB, b"POST /f HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n"),
            (CACHE, b"set f 0 0 3000000\r\n"),
        ],
    )
    def test_halves_of_other_protocols_count_and_are_closed_as_well(
        self, running, protocol, half
    ):
        config = replace(protocol, max_memory=4 * MB)
        with running(config) as server, server.peer() as polite, ExitStack() as stack:
            before = used(polite)
            first, second = (stack.enter_context(connect(server)) for _ in range(2))
            first.sendall(half + b"w" * 2 * MB)
            until(lambda: used(polite) - before >= 2 * MB)
            with suppress(ConnectionError):
                second.sendall(half + b"w" * 2 * MB)
            until(lambda: limits(polite)[b"max-memory"][2] == b"1")
            assert used(polite) - before < 3 * MB

    def test_whoever_holds_most_is_closed_when_all_hold_too_much(
        self, running, warnings
    ):
        with running(LITTLE) as server, ExitStack() as stack:
            polite = stack.enter_context(server.peer())
            small = [stack.enter_context(server.peer()) for _ in range(2)]
            for peer in small:
                peer.send_bytes(HALF[: 3 * MB // 2])
            greedy = stack.enter_context(server.peer())
            with suppress(ConnectionError):
                greedy.send_bytes(packet("ECHO_REQ", b"w" * 6 * MB)[:-1])
            assert greedy.receive_end() == b""
            assert limits(polite)[b"max-memory"][2] == b"1"
            for peer in small:
                peer.send_bytes(HALF[3 * MB // 2 :] + b"w")
                peer.expect("JOB_CREATED")
        (line,) = warnings
        assert "bytes, and --max-memory allows 8388608 for all" in line

    def test_several_are_closed_if_each_holds_little(self, running):
        with running(LITTLE) as server, ExitStack() as stack:
            polite = stack.enter_context(server.peer())
            peers = [stack.enter_context(server.peer()) for _ in range(10)]
            for peer in peers:
                with suppress(ConnectionError):
                    peer.send_bytes(HALF)
            until(lambda: int(limits(polite)[b"max-memory"][2]) >= 1)
            until(lambda: used(polite, b"max-memory") <= 8 * MB)
            assert polite.fence() == []

    def test_results_that_nobody_takes_count(self, running):
        with running(LITTLE) as server, ExitStack() as stack:
            polite, worker, idle = (
                stack.enter_context(server.peer()) for _ in range(3)
            )
            worker.send("CAN_DO", b"f")
            for number in range(10):
                idle.send("SUBMIT_JOB", b"f", b"%d" % number, b"")
                idle.expect("JOB_CREATED")
            # Until the client of the jobs is gone, and the jobs with it.
            while (job := worker.request("GRAB_JOB")).name != "NO_JOB":
                worker.send("WORK_COMPLETE", job.arguments[0], b"r" * 2 * MB)
            assert limits(polite)[b"max-memory"][2] == b"1"
            assert worker.fence() == []

    def test_worker_with_very_many_functions_is_closed_too(self, running):
        config = replace(LITTLE, max_memory=4 * MB)
        with (
            running(config) as server,
            server.peer() as polite,
            server.peer() as greedy,
        ):
            with suppress(ConnectionError):
                for number in range(2000):
                    greedy.send("CAN_DO", b"f%d" % number)
            assert greedy.receive_end() == b""
            assert limits(polite)[b"max-memory"][2] == b"1"
            polite.send("CAN_DO", b"g")
            assert polite.fence() == []

    def test_nobody_is_closed_who_holds_little(self, running, warnings):
        config = replace(LITTLE, max_memory=SMALL)
        with running(config) as server, ExitStack() as stack:
            peers = [stack.enter_context(server.peer()) for _ in range(30)]
            for number, peer in enumerate(peers):
                peer.send("CAN_DO", b"f%d" % number)
                assert peer.fence() == []
            assert limits(peers[0])[b"max-memory"][2] == b"0"
        assert "memory is short" in warnings[0]

    def test_shared_results_count_once(self, running):
        with running(LITTLE) as server, ExitStack() as stack:
            polite, worker, client = (
                stack.enter_context(server.peer()) for _ in range(3)
            )
            worker.send("CAN_DO", b"f")
            client.send_bytes(packet("SUBMIT_JOB", b"f", b"u", b"") * 100)
            for _ in range(100):
                client.expect("JOB_CREATED")
            worker.send("GRAB_JOB")
            handle, *_ = worker.expect("JOB_ASSIGN")
            worker.send("WORK_COMPLETE", handle, b"r" * MB)
            assert worker.fence() == []
            assert used(polite) < 4 * MB
            for _ in range(100):
                client.expect("WORK_COMPLETE")
            assert limits(polite)[b"max-memory"][2] == b"0"


class TestJobs:
    def test_jobs_may_take_three_quarters(self, running):
        config = replace(LOCAL, max_memory=8 * MB)
        with running(config) as server, server.peer() as peer:
            for _ in range(5):
                peer.send("SUBMIT_JOB_BG", b"f", b"", b"w" * MB)
                peer.expect("JOB_CREATED")
            peer.send("SUBMIT_JOB_BG", b"f", b"", b"w" * MB)
            assert peer.expect("ERROR")[0] == b"QUEUE_ERROR"
            assert int(limits(peer)[b"max-job-memory"][0]) == 6 * MB

    def test_packet_that_could_be_no_job_is_refused_and_the_next_is_taken(
        self, running
    ):
        config = replace(LOCAL, max_memory=8 * MB)
        with running(config) as server, server.peer() as peer:
            peer.send("SUBMIT_JOB_BG", b"f", b"", b"w" * 7 * MB)
            assert peer.expect("ERROR")[0] == b"ARGUMENT_TOO_LARGE"
            assert peer.fence() == []
