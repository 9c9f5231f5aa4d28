"""What `murphy train --dry_run` does: find out whether a run would work, without any of its work.

* `findings`: a list of checks, each ok, failed or not checked
* `hub`: whether the hub answers; where it does not, only what is in the cache is looked at
* `model`: the model as a run would have it, but without weights
* `counts`: what a run draws and trains at most, from trees that the real algorithm grows
* `memory`: an estimate of what training takes, plain arithmetic; `colocated`: of what vLLM takes
  beside it; `packed`: of weights in 4 bits; `sizes`: from a run's settings to these
* `card`: the memory that is there; `fitting`: what is needed beside it, and what would help
* `checks`: the checks one by one; `examine`: all of them in order

Nothing is trained, generated or run in the sandbox, and nothing is written into `output_dir`.
"""

from __future__ import annotations

from murphy_agents.dry_run.examine import examine
from murphy_agents.dry_run.findings import Finding, Findings

__all__ = ["Finding", "Findings", "examine"]
