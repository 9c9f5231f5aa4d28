"""What murphy adds to the workers of a vLLM server (`--worker-extension-cls`); it runs over there.

Needs nothing but vLLM and this package where the server runs. `collective_rpc` reaches its methods
by name, in every worker of the server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from murphy_agents.engines.vllm_common import repack_output_layers


class SyncExtension:
    """A base that vLLM gives to its worker class."""

    def murphy_load(self, folder: str) -> dict[str, Any]:
        """Take all weights from a folder in Hugging Face layout.

        Returns:
            {"loaded": folder}, or {"missing": folder} where this worker does not see it and has
            changed nothing.
        """
        if not any(Path(folder).glob("*.safetensors")):
            return {"missing": folder}
        worker: Any = self
        worker.reload_weights(weights_path=folder)
        model = worker.model_runner.get_model()
        if next(model.parameters()).device.type == "cpu":
            repack_output_layers(model)
        return {"loaded": folder}
