"""What `murphy fit` does: which models can be trained in which way on one card, computed.

* `shapes`: published sizes of models, as data, and models without weights
* `ways`: ways of training, as settings of a run
* `config`: what the command can be told
* `table`: the sums, by the very functions of a dry run, and the table

Nothing is measured, downloaded (but a config that is asked for by its hub name) or trained.
"""

from __future__ import annotations

from murphy_agents.fit.config import FitConfig
from murphy_agents.fit.table import Fit, fits, table_of

__all__ = ["Fit", "FitConfig", "fits", "table_of"]
