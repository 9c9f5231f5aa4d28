"""The card of a model: its README.md, written from the files of the run that made it.

* `told`: what those files tell
* `names`: what may be said of models, tasks and paths
* `training`: the part about settings and figures
* `write`: the whole card

It says what the files say and nothing else. Metadata stands in front, as the Hugging Face hub reads
it. The licence is left to who publishes the model, and paths of this machine are left out.
"""

from __future__ import annotations

from murphy_agents.card.names import source_shown
from murphy_agents.card.told import Told
from murphy_agents.card.write import Form, is_on_hub, write

__all__ = ["Form", "Told", "is_on_hub", "source_shown", "write"]
