"""How a server is started and that nothing of it stays; without vLLM, by processes that sleep."""

import importlib
import itertools
import os
import signal
import subprocess
import sys
import time

import pytest

from murphy_agents.engines import vllm_process
from murphy_agents.engines.vllm_process import VllmServer, command_of

# A server whose engine outlives it: the child ignores the request to end.
STUBBORN = (
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', "
    "'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    'print("ready", flush=True); time.sleep(60)\']); time.sleep(60)'
)


def until(condition, within_s=15.0):
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def stubborn(log):
    """As `VllmServer.start` makes one, of a program that sleeps."""
    guard = vllm_process._start_guard()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", STUBBORN], stdout=output, start_new_session=True
        )
    vllm_process._tell(guard, f"{process.pid}\n")
    until(lambda: "ready" in log.read_text())
    return VllmServer(process, guard, "http://127.0.0.1:1", log)


def test_closing_ends_the_whole_group(tmp_path):
    server = stubborn(tmp_path / "log")
    assert vllm_process._has_living(server.pid)
    server.close()
    assert not vllm_process._has_living(server.pid)
    server.close()


def test_what_a_killed_server_leaves_is_ended(tmp_path):
    server = stubborn(tmp_path / "log")
    os.kill(server.pid, signal.SIGKILL)
    told = server.last_words()
    assert f"(pid {server.pid}) ended with exit code -9 (SIGKILL)" in told
    assert vllm_process._has_living(server.pid)
    server.close()
    assert not vllm_process._has_living(server.pid)


@pytest.mark.slow
def test_nothing_outlives_the_process_that_started_it(tmp_path):
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        f"sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        "import test_vllm_process as t\n"
        "print(t.stubborn(Path(sys.argv[1])).pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "log")], capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL
    group = int(done.stdout)
    # The guard asks first, and kills what does not listen after ten seconds.
    until(lambda: not vllm_process._has_living(group), 25)


def test_the_end_of_a_log_names_errors_before_it(tmp_path):
    log = tmp_path / "log"
    lines = [
        "(Engine pid=7) WARNING 01-01 [utils.py:1] fewer files, like `OSError: too many`",
        "(Engine pid=7) ERROR 01-01 [core.py:1] RuntimeError: no memory",
        "(Server pid=6) ERROR 01-01 [core.py:2] RuntimeError: no memory",
        *(f"frame {i}" for i in range(20)),
        "bye",
    ]
    log.write_text("\n".join(lines))
    told = vllm_process._end_of(log).splitlines()
    # 8 last lines, after the one error before them.
    assert told == ["RuntimeError: no memory", *(f"frame {i}" for i in range(13, 20)), "bye"]


def test_the_command():
    command = command_of("org/model", 8000, "bfloat16", 4096, 0.8, 9)
    pairs = dict(itertools.pairwise(command))
    assert command[0] == sys.executable
    assert pairs["--model"] == "org/model"
    assert pairs["--host"] == "127.0.0.1"
    assert pairs["--logprobs-mode"] == "processed_logprobs"
    assert pairs["--max-model-len"] == "4096"
    # Room is kept for the next rank that vLLM has.
    assert pairs["--max-lora-rank"] == "16"
    assert "--enable-lora" in command
    assert pairs["--tensor-parallel-size"] == "1"
    spread = command_of("org/model", 8000, "bfloat16", 4096, 0.8, 9, 2)
    assert dict(itertools.pairwise(spread))["--tensor-parallel-size"] == "2"
    plain = command_of("org/model", 8000, "bfloat16", None, 0.8, None)
    assert not {"--max-model-len", "--enable-lora", "--max-lora-rank"} & set(plain)


@pytest.mark.parametrize("rank", [0, 513])
def test_ranks_that_vllm_does_not_take(rank):
    with pytest.raises(ValueError, match=f"max_lora_rank is {rank}; vLLM takes"):
        command_of("org/model", 8000, "bfloat16", None, 0.8, rank)


def test_the_extension_is_where_the_command_says():
    module, _, name = vllm_process.EXTENSION.rpartition(".")
    assert callable(getattr(importlib.import_module(module), name).murphy_load)
