"""A vLLM server as a child of this process: started, waited for, and never left behind.

The server is the head of a process group, its engine and workers among the members. vLLM's engine
outlives a server that is killed, so the whole group is ended: by `close`, or by a small guard
beside it when this process dies first, however that came about.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from murphy_agents.engines import vllm_guard
from murphy_agents.engines.protocol import EngineError
from murphy_agents.engines.vllm_common import LOGPROBS_MODE, adapter_room, is_installed
from murphy_agents.engines.vllm_http import Client, UnreachableError

EXTENSION = "murphy_agents.engines.vllm_worker.SyncExtension"
HOST = "127.0.0.1"
END_S = 20.0
"""Between the request to end and the kill."""
LAST_LINES, LAST_ERRORS = 8, 4
_TAIL_BYTES = 1 << 16
_ERROR = re.compile(r"(?:^|\] )((?:\w+\.)*\w*(?:Error|Exception): .*)")
"""An error's last line, with or without what vLLM's log writes before every line."""
_LOOK_S = 0.2


class ServerStartError(EngineError):
    """The server did not come up; the text has the end of its log."""


class VllmServer:
    """A server that runs; made by `VllmServer.start`.

    Attributes:
        url: where it listens, on this machine alone.
        pid: of the server itself, the head of its group.
        log: file with all that it says.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        guard: subprocess.Popen[bytes],
        url: str,
        log: Path,
    ) -> None:
        self.url = url
        self.pid = process.pid
        self.log = log
        self._process = process
        self._guard = guard

    @classmethod
    def start(
        cls,
        model: str | Path,
        *,
        dtype: str,
        context_length: int | None = None,
        gpu_memory_utilization: float = 0.9,
        max_lora_rank: int | None = None,
        num_devices: int = 1,
        log: Path,
        port: int | None = None,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        start_within_s: float = 1200.0,
    ) -> VllmServer:
        """Start one and wait until it can be asked.

        Args:
            model: a folder in Hugging Face layout, tokenizer included, or a hub name.
            dtype: of its weights, by torch's name, such as "bfloat16".
            context_length: most ids of prompt and completion; None: the model's.
            gpu_memory_utilization: share of its device's memory that it may take.
            max_lora_rank: highest rank of adapters; None: no adapters.
            num_devices: over which every layer is spread.
            log: file that its output is appended to.
            port: None: one that is free.
            options: more options of `vllm serve`; they win over ours.
            environment: more of its environment, such as {"CUDA_VISIBLE_DEVICES": "1"}.
            start_within_s: seconds that it may take; the model is loaded in them.

        Raises:
            ValueError: vLLM is not installed.
            ServerStartError: it ended before it could be asked, or took too long.
        """
        if not is_installed():
            raise ValueError(
                "a vLLM server needs the package vllm, which is not installed here; pip install "
                "'murphy-rl[vllm]', or give the address of a server that runs"
            )
        port = port or _free_port()
        command = command_of(
            str(model),
            port,
            dtype,
            context_length,
            gpu_memory_utilization,
            max_lora_rank,
            num_devices,
        )
        log.parent.mkdir(parents=True, exist_ok=True)
        guard = _start_guard()
        try:
            with log.open("ab") as output:
                process = subprocess.Popen(
                    [*command, *options],
                    env={**_environment(), **(environment or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except BaseException:
            _dismiss(guard)
            raise
        server = cls(process, guard, f"http://{HOST}:{port}", log)
        try:
            _tell(guard, f"{process.pid}\n")
            server._wait(start_within_s)
        except BaseException:
            server.close()
            raise
        return server

    def last_words(self, within_s: float = 5.0) -> str:
        """How it ended, waiting for that a little, and the end of its log."""
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            how = "still runs"
        else:
            how = f"ended with exit code {code}{_signal_name(code)}"
        return f"The server (pid {self.pid}) {how}; its log {self.log} ends:\n{_end_of(self.log)}"

    def close(self) -> None:
        """End it and all its processes; twice is as once."""
        if self._guard.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        # Its engine may live on without it, or have hung.
        self._signal(signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in a driver
            self._process.wait(END_S)
        self._wait_for_group()
        _dismiss(self._guard)

    def _wait(self, within_s: float) -> None:
        client, end = Client(self.url), time.monotonic() + within_s
        try:
            while not _is_healthy(client):
                if self._process.poll() is not None:
                    raise ServerStartError(f"the vLLM server did not start. {self.last_words()}")
                if time.monotonic() > end:
                    raise ServerStartError(
                        f"the vLLM server could not be asked within {within_s:g} s. "
                        f"{self.last_words(0)}"
                    )
                time.sleep(_LOOK_S)
        finally:
            client.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _wait_for_group(self) -> None:
        """Until no process of it holds a device any more."""
        end = time.monotonic() + END_S
        while time.monotonic() < end and _has_living(self.pid):
            time.sleep(_LOOK_S)


def command_of(
    model: str,
    port: int,
    dtype: str,
    context_length: int | None,
    gpu_memory_utilization: float,
    max_lora_rank: int | None,
    num_devices: int = 1,
) -> list[str]:
    """The command that starts a server which `VllmServerEngine` can be used with."""
    settings: dict[str, Any] = {
        "model": model,
        "host": HOST,
        "port": port,
        "dtype": dtype,
        "gpu-memory-utilization": gpu_memory_utilization,
        "tensor-parallel-size": num_devices,
        "logprobs-mode": LOGPROBS_MODE,
        "generation-config": "vllm",  # the model's own defaults are none of ours
        "worker-extension-cls": EXTENSION,
        "uvicorn-log-level": "warning",
    }
    flags = ["enable-prefix-caching", "enable-prompt-tokens-details"]
    if context_length is not None:
        settings["max-model-len"] = context_length
    if max_lora_rank is not None:
        settings |= {"max-loras": 1, "max-lora-rank": adapter_room(max_lora_rank)}
        flags.append("enable-lora")
    if not torch.cuda.is_available():
        settings["block-size"] = 32
        flags += ["no-enable-chunked-prefill", "enforce-eager"]
    # `vllm serve` asks for a distribution named vllm, which builds for a CPU are not.
    start = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    pairs = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    return [*start, *pairs, *(f"--{flag}" for flag in flags)]


def _start_guard() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", vllm_guard.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _tell(guard: subprocess.Popen[bytes], word: str) -> None:
    assert guard.stdin is not None
    guard.stdin.write(word.encode())
    guard.stdin.flush()


def _dismiss(guard: subprocess.Popen[bytes]) -> None:
    """There is nothing to guard any more."""
    with contextlib.suppress(BrokenPipeError):  # the guard is gone already
        _tell(guard, "done")
    assert guard.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        guard.stdin.close()
    guard.wait()


def _environment() -> dict[str, str]:
    """Ours, with the settings that the server's part of a sync needs."""
    ours = dict(os.environ)
    # Set for an engine in this process, and no way to run a server.
    ours.pop("VLLM_ENABLE_V1_MULTIPROCESSING", None)
    # The server imports the extension, from where this package lies.
    home = str(Path(__file__).parents[2])
    ours["PYTHONPATH"] = os.pathsep.join(filter(None, [home, ours.get("PYTHONPATH")]))
    ours["VLLM_SERVER_DEV_MODE"] = "1"
    ours["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "True"
    return ours


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
    return port


def _is_healthy(client: Client) -> bool:
    try:
        return client.ask("GET", "/health").status == 200
    except UnreachableError:
        return False


def _signal_name(code: int) -> str:
    return f" ({signal.Signals(-code).name})" if code < 0 else ""


def _end_of(log: Path) -> str:
    """Its last lines, after the last different errors that are told before them."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    told = (found[1] for line in lines[:-LAST_LINES] if (found := _ERROR.search(line)))
    errors = list(dict.fromkeys(told))
    chosen = [*errors[-LAST_ERRORS:], *lines[-LAST_LINES:]]
    return "\n".join(line[:500] for line in chosen)


def _has_living(group: int) -> bool:
    """Whether a process of the group runs; one that is dead and not yet reaped does not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # gone meanwhile
            # After the name, which may hold anything: state, parent, group.
            state, _, of_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == group and state not in "ZX":
                return True
    return False
