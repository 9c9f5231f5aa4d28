"""How a vLLM server comes by the weights in training: through a folder that both sides see.

Whole weights are reloaded in place by `SyncExtension`, and the prefix cache is emptied. Adapters
are loaded under a name that was never used, which no cache can take for another; older ones go.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import time
from pathlib import Path
from typing import Any

from murphy_agents.engines.protocol import EngineDiedError, Weights
from murphy_agents.engines.vllm_claim import Claim, is_of_the_dead, refuse_unfit, results_of
from murphy_agents.engines.vllm_http import Answer, Client

SYNC_S = 3600.0
"""Seconds that the server may take for one step of a sync."""
START_LORA = (
    "--enable-lora, --max-lora-rank not below the adapters' rank, and "
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True in its environment"
)
_RESET_S = 10.0


class ServerWeights:
    """Hands weights to one server.

    What runs on this host that were killed have left in the folder is removed.

    Args:
        client: asks the server.
        claim: by which the server is held.
        folder: where weights are written; seen by both sides under the same path.
        base: name of the model that the server was started with.

    Attributes:
        model: the name by which requests get the newest weights.
    """

    def __init__(self, client: Client, claim: Claim, folder: Path, base: str) -> None:
        self.model = base
        self._client = client
        self._claim = claim
        self._folder = Path(folder).absolute()
        self._base = base
        self._adapter: Path | None = None
        self._numbers = itertools.count()
        for left in self._folder.glob("murphy-*-*-*"):
            if is_of_the_dead(left.name.split("-", 2)[2].rpartition("-")[0]):
                _remove(left)

    def take(self, weights: Weights) -> None:
        """Have the server sample with these.

        Raises:
            ValueError: it is not set up for it, does not see the folder or refuses the weights; it
                keeps those that it had.
            EngineDiedError: it took them in part, or is not held any more.
            UnreachableError: it does not answer.
        """
        self._claim.prove()
        # Reloaded under a path that was read before, older contents may come back.
        name = f"murphy-{weights.version}-{self._claim.owner}-{next(self._numbers)}"
        folder = self._folder / name
        folder.mkdir(parents=True)
        try:
            weights.write(folder)
            with self._claim.lock:
                if weights.is_adapter:
                    self._take_adapter(folder)
                else:
                    self._take_all(folder, weights.version)
        finally:
            if folder != self._adapter:
                _remove(folder)

    def forget_adapter(self, timeout_s: float = SYNC_S) -> None:
        """Have the server drop the adapters that it was given last, if any.

        Raises:
            UnreachableError: it does not answer.
        """
        if self._adapter is not None:
            # Those that it does not know need no unloading, so its answer is of no interest.
            order = {"lora_name": self._adapter.name}
            self._client.ask("POST", "/v1/unload_lora_adapter", order, timeout_s)
            self._drop_files()

    def close(self) -> None:
        """Remove what is left on the disk."""
        self._drop_files()
        with contextlib.suppress(OSError):  # never made, or others' weights are in it
            self._folder.rmdir()

    def _drop_files(self) -> None:
        if self._adapter is not None:
            _remove(self._adapter)
            self._adapter = None

    def _take_all(self, folder: Path, version: int) -> None:
        args = [str(folder), self._claim.owner, version]
        answer = self._ask("/collective_rpc", {"method": "murphy_load", "args": args})
        refuse_unfit(self._client.url, "murphy_load", answer)
        if answer.status != 200:
            raise EngineDiedError(f"it took weights in part: {answer.message}")
        self._check_loaded(folder, results_of(answer))
        self._claim.version = version
        self._reset_cache()
        self.forget_adapter()
        self.model = self._base

    def _check_loaded(self, folder: Path, told: list[dict[str, Any]]) -> None:
        """Raise unless every worker of the server took the weights."""
        num_loaded = sum("loaded" in result for result in told)
        if num_loaded == len(told):
            return
        if num_loaded:
            raise EngineDiedError(
                f"it took weights in part: {num_loaded} of its {len(told)} workers see those in "
                f"{folder}"
            )
        if any("missing" not in result for result in told):
            raise EngineDiedError(f"another run has taken it: {told}")
        raise ValueError(
            f"the vLLM server at {self._client.url} sees no weights in {folder}; choose a folder "
            "for them that lies under the same path on both sides"
        )

    def _reset_cache(self) -> None:
        """Empty the prefix cache, which older weights have filled."""
        end = time.monotonic() + _RESET_S
        while True:
            answer = self._ask("/reset_prefix_cache")
            if answer.status == 200 and _is_success(answer.body):
                return
            # The last request's blocks may not have been given back yet.
            if time.monotonic() > end:
                raise EngineDiedError(
                    f"it does not empty its prefix cache: {answer.status} {answer.message}"
                )
            time.sleep(0.05)

    def _take_adapter(self, folder: Path) -> None:
        if not self._claim.is_as_started:
            raise ValueError(
                f"the vLLM server at {self._client.url} holds whole weights that an earlier run "
                "has loaded, and not the model that these adapters belong to; start it anew"
            )
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


def _is_success(body: Any) -> bool:
    return isinstance(body, dict) and body.get("success") is True


def _remove(folder: Path) -> None:
    """On a network's disk, files that the server still has open may stay until it lets go."""
    shutil.rmtree(folder, ignore_errors=True)
