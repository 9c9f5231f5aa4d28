"""`murphy view`: the rollout trees of a run as one HTML page, without a server and a network."""

from murphy_agents.view.write import main, write_page

__all__ = ["main", "write_page"]
