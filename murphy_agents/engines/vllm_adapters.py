"""The LoRA adapter that vLLM samples with: written to a folder, loaded, and replaced by the next.

vLLM knows adapters by number, and what its cache holds of them by name and path. So every version
gets all three anew. `load_inplace`, which would replace one under its name, reads the files again
for every sample, and leaves the older one's cache in use where the path is the same.
"""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from murphy_agents.engines.protocol import Weights

_IN_MEMORY, _ROOM_BYTES = Path("/dev/shm"), 1 << 30


class AdapterSlot:
    """Room for one adapter, whose files lie in memory where there is room.

    Args:
        max_rank: highest rank of an adapter.
    """

    def __init__(self, max_rank: int) -> None:
        in_memory = _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free >= _ROOM_BYTES
        self._scratch = tempfile.TemporaryDirectory(
            prefix="murphy-", dir=_IN_MEMORY if in_memory else None
        )
        self.folder = Path(self._scratch.name)
        self.request: Any = None
        """What names the adapter in a vLLM request; None: the base model."""
        self._max_rank = max_rank
        self._numbers = itertools.count(1)

    def written(self, weights: Weights) -> Path:
        """A new folder that holds them."""
        folder = self.folder / str(next(self._numbers))
        weights.write(folder)
        return folder

    def check_rank(self, folder: Path) -> None:
        """Raise ValueError if the adapters in a folder do not fit the slot; the folder is gone."""
        config = json.loads((folder / "adapter_config.json").read_text())
        rank = max([config["r"], *(config.get("rank_pattern") or {}).values()])
        if rank > self._max_rank:
            shutil.rmtree(folder)
            raise ValueError(
                f"the adapters are of rank {rank}, and the engine was made with "
                f"max_lora_rank={self._max_rank}; make it with max_lora_rank={rank}"
            )

    def take(self, engine: Any, folder: Path, version: int) -> None:
        """Have a vLLM engine load the adapters of a folder in place of those that it has."""
        from vllm.lora.request import LoRARequest

        if self.request is not None:
            engine.remove_lora(self.request.lora_int_id)
            shutil.rmtree(self.request.lora_path)
        name = f"murphy-{version}-{folder.name}"
        self.request = LoRARequest(name, int(folder.name), str(folder))
        engine.add_lora(self.request)

    def close(self) -> None:
        """Remove the files."""
        self._scratch.cleanup()
