"""The memory that a run is compared with: of the device here, or of a GPU that is elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from murphy_agents.config import TrainConfig
from murphy_agents.dry_run.findings import NotCheckedError
from murphy_agents.dry_run.memory import GIB

LIBRARIES_BYTES = GIB
"""That CUDA and its libraries take for themselves in a process; held back on a card elsewhere. One
that is here has given it away already when its free memory is asked for."""
FRAGMENTED_SHARE = 0.05
"""Of a GPU's memory, held back for what its allocator holds in pieces that nothing fits into."""


@dataclass(frozen=True)
class Card:
    """A device's memory."""

    name: str
    total_bytes: float
    free_bytes: float
    """That is not taken yet."""
    reserve_bytes: float
    """Of what is free, left alone."""
    is_gpu: bool = True

    @property
    def usable_bytes(self) -> float:
        """For training and all engines on it together."""
        return self.free_bytes - self.reserve_bytes


def elsewhere(gigabytes: float) -> Card:
    """A GPU of so many GB that nothing else uses.

    A GB is 10^9 bytes. Most cards report more than they are sold for by this measure (an RTX 4090
    of 24 GB has 23.64 GiB, which are 25.4 GB), so that it errs on the safe side.
    """
    total = 1e9 * gigabytes
    reserve = LIBRARIES_BYTES + FRAGMENTED_SHARE * total
    return Card(f"a GPU of {gigabytes:g} GB", total, total, reserve)


def of_run(config: TrainConfig, device: torch.device | None) -> Card:
    """What the run's estimate is compared with.

    Args:
        config: `card_gb` of it names a GPU that is elsewhere.
        device: of the run; None: it is not here.

    Raises:
        NotCheckedError: there is no such device here, or it does not tell.
    """
    if config.card_gb is not None:
        return elsewhere(config.card_gb)
    if device is None:
        raise NotCheckedError(
            "no device here to compare the estimate with; card_gb says its memory"
        )
    if device.type == "cuda":
        try:
            left, whole = torch.cuda.mem_get_info(device)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise NotCheckedError(f"{device} does not tell its memory: {reason}") from error
        return Card(str(device), whole, left, FRAGMENTED_SHARE * whole)
    told = Path("/proc/meminfo")
    if device.type == "cpu" and told.exists():
        named = dict(line.split(":") for line in told.read_text(encoding="utf-8").splitlines())
        total, free = (
            1024.0 * int(named[name].split()[0]) for name in ("MemTotal", "MemAvailable")
        )
        return Card(str(device), total, free, 0.0, is_gpu=False)
    raise NotCheckedError(f"how much a {device.type!r} device has free is not known")
