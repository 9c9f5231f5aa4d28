"""What murphy adds to the workers of a vLLM server (`--worker-extension-cls`); it runs over there.

Needs nothing but vLLM and this package where the server runs. `collective_rpc` reaches its methods
by name, in every worker of the server. A server has one owner, who alone may change its weights; it
is free again once the owner lets go, or was not heard from for `LEASE_S`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from murphy_agents.engines.vllm_common import repack_output_layers

LEASE_S = 60.0
"""Seconds of silence after which an owner counts as gone."""


class SyncExtension:
    """A base that vLLM gives to its worker class."""

    _murphy_owner = ""
    _murphy_version = 0
    _murphy_heard = 0.0
    _murphy_changed = False
    """Whether anybody has loaded whole weights; they stay when an owner goes."""

    def murphy_claim(self, owner: str) -> dict[str, Any]:
        """Take the server for `owner`, unless another holds it.

        Returns:
            {"owner": who holds it now, "silent_s": seconds since that one was heard, "changed":
            whether its whole weights are others than it was started with}.
        """
        silent_s = time.monotonic() - self._murphy_heard
        if self._murphy_owner in ("", owner) or silent_s >= LEASE_S:
            self._murphy_owner, self._murphy_version, silent_s = owner, 0, 0.0
            self._murphy_heard = time.monotonic()
        told = {"owner": self._murphy_owner, "silent_s": silent_s}
        return {**told, "changed": self._murphy_changed}

    def murphy_state(self, owner: str) -> dict[str, Any]:
        """Who holds it, and the version of the whole weights that it was given; `owner` lives.

        Returns:
            {"owner": owner, "" where there is none, "version": 0 where nothing was loaded}.
        """
        if owner == self._murphy_owner:
            self._murphy_heard = time.monotonic()
        return {"owner": self._murphy_owner, "version": self._murphy_version}

    def murphy_release(self, owner: str) -> dict[str, Any]:
        """Let go, if it is `owner` who holds it; as `murphy_state` otherwise."""
        if owner == self._murphy_owner:
            self._murphy_owner = ""
        return {"owner": self._murphy_owner, "version": self._murphy_version}

    def murphy_load(self, folder: str, owner: str, version: int) -> dict[str, Any]:
        """Take all weights from a folder in Hugging Face layout.

        Returns:
            {"loaded": folder}; where this worker has changed nothing, {"missing": folder} if it
            does not see it, {"foreign": the owner} if another than `owner` holds it.
        """
        if owner != self._murphy_owner:
            return {"foreign": self._murphy_owner}
        if not any(Path(folder).glob("*.safetensors")):
            return {"missing": folder}
        self._murphy_changed = True
        worker: Any = self
        worker.reload_weights(weights_path=folder)
        model = worker.model_runner.get_model()
        if next(model.parameters()).device.type == "cpu":
            repack_output_layers(model)
        self._murphy_version, self._murphy_heard = version, time.monotonic()
        return {"loaded": folder}
