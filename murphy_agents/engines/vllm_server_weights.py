"""How a vLLM server comes by the weights in training: through a folder that both sides see.

Whole weights are reloaded in place by `SyncExtension`, and the prefix cache is emptied. Adapters
are loaded under a name that was never used, which no cache can take for another; older ones go.
"""

from __future__ import annotations

import shutil
import time
import uuid
from pathlib import Path
from typing import Any

from murphy_agents.engines.protocol import EngineDiedError, Weights
from murphy_agents.engines.vllm_common import LOGPROBS_MODE
from murphy_agents.engines.vllm_http import Answer, Client
from murphy_agents.engines.vllm_process import EXTENSION

SYNC_S = 3600.0
"""Seconds that the server may take for one step of a sync."""
START = (
    f"python -m vllm.entrypoints.openai.api_server --model MODEL --logprobs-mode {LOGPROBS_MODE} "
    f"--enable-prompt-tokens-details --worker-extension-cls {EXTENSION}, with "
    "VLLM_SERVER_DEV_MODE=1 in its environment"
)
START_LORA = (
    "--enable-lora, --max-lora-rank not below the adapters' rank, and "
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True in its environment"
)
_RESET_S = 10.0


class ServerWeights:
    """Hands weights to one server.

    Args:
        client: asks the server.
        folder: where weights are written; seen by both sides under the same path.
        base: name of the model that the server was started with.

    Attributes:
        model: the name by which requests get the newest weights.
    """

    def __init__(self, client: Client, folder: Path, base: str) -> None:
        self.model = base
        self._client = client
        self._folder = Path(folder).absolute()
        self._base = base
        self._adapter: Path | None = None

    def take(self, weights: Weights) -> None:
        """Have the server sample with these.

        Raises:
            ValueError: it is not set up for it, does not see the folder or refuses the weights; it
                keeps those that it had.
            EngineDiedError: it took them in part.
            UnreachableError: it does not answer.
        """
        # Reloaded under a path that was read before, older contents may come back.
        folder = self._folder / f"murphy-{weights.version}-{uuid.uuid4().hex[:12]}"
        folder.mkdir(parents=True)
        try:
            weights.write(folder)
            self._take_adapter(folder) if weights.is_adapter else self._take_all(folder)
        finally:
            if folder != self._adapter:
                _remove(folder)

    def forget_adapter(self) -> None:
        """Have the server drop the adapters that it was given last, if any.

        Raises:
            UnreachableError: it does not answer.
        """
        if self._adapter is not None:
            # Those that it does not know need no unloading, so its answer is of no interest.
            self._ask("/v1/unload_lora_adapter", {"lora_name": self._adapter.name})
            self.close()

    def close(self) -> None:
        """Remove what is left on the disk."""
        if self._adapter is not None:
            _remove(self._adapter)
            self._adapter = None

    def _take_all(self, folder: Path) -> None:
        answer = self._ask("/collective_rpc", {"method": "murphy_load", "args": [str(folder)]})
        if answer.status == 404 or "no attribute 'murphy_load'" in answer.message:
            raise ValueError(
                f"the vLLM server at {self._client.url} cannot take weights: {answer.message}; "
                f"start it with {START}"
            )
        if answer.status != 200:
            raise EngineDiedError(f"it took weights in part: {answer.message}")
        self._check_seen(folder, ["missing" not in result for result in answer.body["results"]])
        self._reset_cache()
        self.forget_adapter()
        self.model = self._base

    def _check_seen(self, folder: Path, seen: list[bool]) -> None:
        """Raise unless every worker of the server found the weights."""
        if all(seen):
            return
        if any(seen):
            raise EngineDiedError(f"{sum(seen)} of its {len(seen)} workers see weights in {folder}")
        raise ValueError(
            f"the vLLM server at {self._client.url} sees no weights in {folder}; choose a folder "
            "for them that lies under the same path on both sides"
        )

    def _reset_cache(self) -> None:
        """Empty the prefix cache, which older weights have filled."""
        end = time.monotonic() + _RESET_S
        while True:
            answer = self._ask("/reset_prefix_cache")
            if answer.status == 200 and answer.body["success"]:
                return
            # The last request's blocks may not have been given back yet.
            if time.monotonic() > end:
                raise EngineDiedError(
                    f"it does not empty its prefix cache: {answer.status} {answer.message}"
                )
            time.sleep(0.05)

    def _take_adapter(self, folder: Path) -> None:
        order = {"lora_name": folder.name, "lora_path": str(folder)}
        answer = self._ask("/v1/load_lora_adapter", order)
        if answer.status != 200:
            if self._client.ask("GET", "/health").status != 200:
                raise EngineDiedError(f"it died while it took adapters: {answer.message}")
            raise ValueError(
                f"the vLLM server at {self._client.url} does not take the adapters in {folder}: "
                f"{answer.status} {answer.message}; it must see the folder under this path, and "
                f"be started with {START_LORA}"
            )
        self.forget_adapter()
        self._adapter, self.model = folder, folder.name

    def _ask(self, path: str, body: Any = None) -> Answer:
        return self._client.ask("POST", path, body, SYNC_S)


def _remove(folder: Path) -> None:
    """On a network's disk, files that the server still has open may stay until it lets go."""
    shutil.rmtree(folder, ignore_errors=True)
