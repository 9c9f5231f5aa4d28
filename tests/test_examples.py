"""The examples run as a user would run them."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_reinforce_learns_to_use_the_feedback():
    sys.path.insert(0, str(EXAMPLES))
    from reinforce import main

    before, after = main()
    # One program in five is right: two blind guesses solve about 36 %.
    assert before < 0.75
    assert after > 0.9


@pytest.mark.filterwarnings("default")
def test_trl_trains_on_our_reward(tmp_path):
    command = [sys.executable, str(EXAMPLES / "trl_grpo.py"), "--max_steps", "2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "reward" in done.stdout
