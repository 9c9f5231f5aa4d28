"""Imports look only down the floors of the house, and the environment stays free of torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the ground up; a module may import modules of its own floor's line or of any lower one.
FLOORS = [
    ["murphy_env.extraction"],
    ["murphy_env.checks"],
    ["murphy_env.types"],
    ["murphy_env.sandbox", "murphy_env.prompts"],
    ["murphy_env.sources"],
    ["murphy_env.spaces", "murphy_env.hidden", "murphy_env.rendering"],
    ["murphy_env.env"],
    ["murphy_env.per_env"],
    ["murphy_env.vector", "murphy_env.wrappers"],
    ["murphy_env"],
    ["murphy_agents.tree"],
    ["murphy_agents.subset"],
    ["murphy_agents.prune"],
    ["murphy_agents.credit", "murphy_agents.advantage"],
    ["murphy_agents.peers", "murphy_agents.balance"],
    ["murphy_agents.algorithms", "murphy_agents.variants"],
    ["murphy_agents.engines", "murphy_agents.engines.protocol", "murphy_agents.codec"],
    [
        "murphy_agents.clock",
        "murphy_agents.files",
        "murphy_agents.importing",
        "murphy_agents.own_world",
        "murphy_agents.saved_adapters",
    ],
    ["murphy_agents.stats"],
    ["murphy_agents.evaluation.chain", "murphy_agents.evaluation.result"],
    ["murphy_agents.engines.intake", "murphy_agents.lease"],
    [
        "murphy_agents.engines.reading",
        "murphy_agents.engines.scripted",
        "murphy_agents.engines.lasting",
        "murphy_agents.engines.vllm_guard",
        "murphy_agents.engines.vllm_http",
        "murphy_agents.rollout",
    ],
    ["murphy_agents.flow"],
    ["murphy_agents.sampler"],
    ["murphy_agents.room"],
    ["murphy_agents.evaluation.reflexion"],
    # From here on torch may be imported.
    ["murphy_agents.evaluation_mode", "murphy_agents.bitsandbytes_there"],
    ["murphy_agents.quantised"],
    ["murphy_agents.update"],
    ["murphy_agents.optimizer", "murphy_agents.reference", "murphy_agents.adapters"],
    ["murphy_agents.policy"],
    [
        "murphy_agents.engines.drawing",
        "murphy_agents.engines.ending",
        "murphy_agents.engines.kv_cache",
        "murphy_agents.engines.decoding",
        "murphy_agents.engines.transformers",
        "murphy_agents.engines.weights",
        "murphy_agents.engines.vllm_adapters",
        "murphy_agents.engines.vllm_classes",
        "murphy_agents.engines.vllm_common",
        "murphy_agents.engines.vllm_start",
        "murphy_agents.engines.vllm",
    ],
    ["murphy_agents.canary"],
    [
        "murphy_agents.engines.vllm_worker",
        "murphy_agents.engines.vllm_process",
        "murphy_agents.engines.vllm_answers",
        "murphy_agents.engines.vllm_claim",
        "murphy_agents.engines.vllm_server_weights",
        "murphy_agents.engines.vllm_server",
    ],
    ["murphy_agents.tiny"],
    ["murphy_agents.settings", "murphy_agents.run.trackers", "murphy_agents.stats.significance"],
    ["murphy_agents.config", "murphy_agents.strategies"],
    [
        "murphy_agents.metrics",
        "murphy_agents.costs",
        "murphy_agents.checkpoint",
        "murphy_agents.run.provenance",
        "murphy_agents.run.origin",
    ],
    ["murphy_agents.card.names", "murphy_agents.card.told"],
    ["murphy_agents.card.training"],
    ["murphy_agents.card.write"],
    ["murphy_agents.card"],
    ["murphy_agents.run"],
    ["murphy_agents.generation"],
    ["murphy_agents.wiring", "murphy_agents.learner", "murphy_agents.log"],
    ["murphy_agents.evaluation.config"],
    ["murphy_agents.evaluate", "murphy_agents.evaluation"],
    ["murphy_agents.training"],
    ["murphy_agents.show"],
    ["murphy_agents.report"],
    ["murphy_agents.dry_run", "murphy_agents.merging"],
    ["murphy_agents.export"],
    ["murphy_agents.compare", "murphy_agents.standings", "murphy_agents.fit", "murphy_agents.view"],
    ["murphy_agents.cli", "murphy_agents"],
]
TORCH_FREE_FLOORS = 26
HEAVY = {"torch", "transformers", "accelerate", "peft", "vllm", "trl", "scipy", "matplotlib"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> list[Path]:
    found = [*ROOT.glob("murphy_env/**/*.py"), *ROOT.glob("murphy_agents/**/*.py")]
    assert len(found) > 20
    return sorted(found)


def floor_of(name: str) -> int:
    """The floor of the nearest of its packages that has one."""
    known = {stem: floor for floor, names in enumerate(FLOORS) for stem in names}
    while name.count(".") > 1 and name not in known:
        name = name.rpartition(".")[0]
    if name in known:
        return known[name]
    raise AssertionError(f"{name} stands on no floor; give it one in tests/test_floors.py")


def imported(path: Path) -> set[str]:
    """Names of all modules that a file imports, late imports included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # What runs inside of the sandbox is a package that knows no name of the project.
            assert not node.level or path.parent.name == "inside", f"{path}: write the whole name"
            if node.level:
                continue
            for alias in node.names:
                inner = ROOT / Path(*f"{node.module}.{alias.name}".split("."))
                is_module = inner.with_suffix(".py").exists() or inner.is_dir()
                found.add(f"{node.module}.{alias.name}" if is_module else str(node.module))
    return found


def test_imports_look_down():
    for path in modules():
        own = module_name(path)
        for name in imported(path):
            if name.split(".")[0] in ("murphy_env", "murphy_agents"):
                assert floor_of(name) <= floor_of(own), f"{own} imports {name}, which is above it"


def test_what_runs_inside_of_the_sandbox_imports_nothing_of_ours():
    for path in modules():
        if path.parent.name == "inside":
            assert not {name for name in imported(path) if name.startswith("murphy")}


def test_nothing_imports_tests_or_benchmarks():
    for path in modules():
        assert not {n.split(".")[0] for n in imported(path)} & {"tests", "benchmarks", "examples"}


def test_lower_floors_are_free_of_heavy_libraries():
    for path in modules():
        name = module_name(path)
        if floor_of(name) < TORCH_FREE_FLOORS:
            heavy = {n.split(".")[0] for n in imported(path)} & HEAVY
            assert not heavy, f"{name} imports {heavy}"


def test_no_folder_of_tests_is_taken_for_a_library():
    # Tests are on the import path, and libraries ask by name whether another one is installed.
    assert not {folder.name for folder in (ROOT / "tests").iterdir()} & HEAVY


@pytest.mark.parametrize(
    "module",
    [
        "murphy_env",
        "murphy_agents",
        "murphy_agents.algorithms",
        "murphy_agents.sampler",
        "murphy_agents.engines.scripted",
        "murphy_agents.engines.lasting",
        "murphy_agents.engines.vllm_worker",
        "murphy_agents.evaluation.result",
        "murphy_agents.compare",
        "murphy_agents.standings",
        "murphy_agents.view",
        "murphy_agents.cli",
    ],
)
def test_a_fresh_interpreter_loads_no_deep_learning_library(module):
    code = (
        f"import sys, {module}; "
        "print([m for m in ('torch', 'transformers', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


READING_WALK = [
    "murphy_agents/algorithms.py",
    "murphy_agents/tree.py",
    "murphy_agents/credit.py",
    "murphy_agents/prune.py",
    "murphy_agents/advantage.py",
    "murphy_agents/sampler.py",
    "murphy_agents/update/loss.py",
    "murphy_agents/training.py",
]


def test_the_reading_walk_is_short():
    lines = {name: len((ROOT / name).read_text().splitlines()) for name in READING_WALK}
    assert sum(lines.values()) < 700, lines
    readme = (ROOT / "README.md").read_text()
    positions = [readme.find(f"({name})") for name in READING_WALK]
    assert -1 not in positions, "the README walks through every file"
    assert positions == sorted(positions), "in this order"
