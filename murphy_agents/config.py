"""Everything that a training run can be told, and the one place where its words become strategies.

Names are those of TRL's GRPOConfig where the meaning is the same. A field is a flag of
`murphy train`, a key of its YAML file and an argument of `TrainConfig`; each is checked before any
work is done.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from murphy_agents import advantage, algorithms, balance, prune
from murphy_agents.settings import check_names, check_types


def _field(default: Any, about: str) -> Any:
    """A field with its help text."""
    return dataclasses.field(default=default, metadata={"help": about})


@dataclass
class TrainConfig:
    """Settings of `murphy_agents.train`.

    Raises:
        ValueError: a value of the wrong type or an impossible one, named with the remedy.

    Example:
        >>> TrainConfig(algorithm="grpo", num_generations=16).learning_rate
        1e-06
    """

    # What is trained, on what, where to
    model: str = _field(
        "tiny",
        "folder or hub name of a causal language model with a chat template; 'tiny', 'tiny:olmo2' "
        "and 'tiny:llama' make a small one with random weights",
    )
    tasks: str = _field("embedded", "source of tasks, as murphy_env.sources.load takes it")
    env: str | None = _field(None, "'pkg.mod:make_env', a function without arguments that makes "
                             "the environment; tasks and the settings of the environment are then "
                             "its own affair")  # fmt: skip
    output_dir: str = _field("runs/murphy", "folder of metrics, rollouts, checkpoints and model")
    overwrite_output_dir: bool = _field(False, "train into a folder that holds a run already")

    # Algorithm
    algorithm: Literal["grpo", "murphy_mars", "murphy_mers", "naive", "tree_without_credit"] = (
        _field("murphy_mars", "how generations are laid out, credited and compared")
    )
    num_generations: int = _field(8, "G, generations per prompt, at every turn (naive: chains)")
    fanout: list[int] | None = _field(None, "generations per prompt turn by turn, instead of G")
    num_turns: int = _field(2, "S, attempts per episode (grpo trains on the first alone)")
    gamma: float = _field(0.9, "discount of refinements' credit (murphy_mers)")
    childless: Literal["keep", "literal"] = _field(
        "keep", "credit of a node without refinements (murphy_mers): own reward, or the paper's"
    )
    prune: Literal["keep_all", "intra_group", "inter_group"] = _field(
        "keep_all", "which generations are left out of the update (murphy_*)"
    )
    prune_budget: int | None = _field(None, "b, nodes or groups that pruning keeps")
    prune_rule: Literal["max_variance", "contribution"] = _field(
        "max_variance", "what intra_group keeps"
    )
    prune_keep_descendants: bool = _field(
        False, "refinements of nodes that intra_group drops stay in the update"
    )
    prune_alpha1: float = _field(0.0, "weight of the mean in inter_group's score")
    prune_alpha2: float = _field(1.0, "weight of the standard deviation in inter_group's score")
    prune_dropped_pays: Literal["zero", "as_sampled"] = _field(
        "zero", "credit that a group dropped by inter_group gives its parent"
    )
    solved_early: Literal["include", "exclude"] = _field(
        "include", "whether chains solved before the last turn are compared (naive)"
    )
    train_turns: Literal["last", "all"] = _field("last", "attempts of a chain to train (naive)")
    shuffle_credit: bool = _field(False, "control: permute credits among first attempts (mars)")
    scale: Literal["sample", "population", "center"] = _field(
        "sample", "advantages: centred and divided by this standard deviation, or centred alone"
    )
    balance: Literal["sum", "turns", "groups"] = _field(
        "sum", "Def. 1's sum over groups, or each turn, or each group, of equal total weight"
    )

    # Environment
    prompts: str | None = _field(None, "'standard', 'terse', 'pkg.mod:OBJECT'; the task's own")
    reward: Literal["pass_rate", "gain"] = _field("pass_rate", "reward of one attempt")
    hidden_share: float = _field(0.0, "share of each task's tests withheld from feedback")
    transcript: Literal["requote", "chat"] = _field("requote", "how earlier attempts are shown")
    sandbox_level: str = _field("auto", "isolation of programs, as murphy_env.Sandbox takes it")
    sandbox_workers: int = _field(2, "programs that run at the same time")

    # Generation
    max_completion_length: int = _field(512, "most tokens of one completion")
    temperature: float = _field(1.0, "of sampling; log-probs are taken at the same temperature")
    top_p: float = _field(1.0, "nucleus; below 1 it biases the gradient")

    # Update
    max_steps: int = _field(-1, "optimizer rounds; -1: as num_train_epochs says")
    num_train_epochs: int = _field(1, "passes over the tasks")
    per_device_train_batch_size: int = _field(8, "problems per step")
    learning_rate: float = _field(1e-6, "of AdamW, decayed linearly to 0")
    warmup_steps: int = _field(0, "steps over which the learning rate rises")
    weight_decay: float = _field(0.1, "of AdamW; not on norms and biases")
    max_grad_norm: float = _field(1.0, "norm at which gradients are clipped")
    beta: float = _field(0.04, "weight of the KL term; 0 saves the reference model")
    epsilon: float = _field(0.2, "how far a probability ratio may move from 1")
    num_iterations: int = _field(1, "optimizer steps per rollout")
    loss_type: Literal["grpo", "bnpo", "dapo", "dr_grpo"] = _field(
        "grpo", "what a token's weight is divided by: 'grpo' is Def. 1"
    )
    mask_truncated_completions: bool = _field(False, "leave cut completions out of the loss")
    max_tokens_per_forward: int = _field(16384, "padded tokens that one forward pass may hold")

    # Model
    use_peft: bool = _field(False, "train LoRA adapters; the reference is then the bare model")
    lora_r: int = _field(16, "rank of the adapters")
    lora_alpha: int = _field(32, "scale of the adapters")
    lora_target_modules: str = _field("all-linear", "which layers get adapters")
    dtype: Literal["float32", "bfloat16", "float64"] = _field("float32", "of the weights")
    device: str = _field("auto", "'cpu', 'cuda', ...; auto takes a GPU where there is one")

    # Run
    seed: int = _field(0, "of weights, order of tasks and sampling")
    save_steps: int = _field(50, "steps between checkpoints; 0: only the final model")

    def __post_init__(self) -> None:
        check_types(self)
        _check_ranges(self)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> TrainConfig:
        """From the keys of a YAML file; an unknown key is an error that names the nearest one."""
        check_names(cls, values)
        return cls(**values)


def algorithm_of(config: TrainConfig) -> algorithms.Algorithm:
    """The algorithm that the settings describe."""
    fanout = tuple(config.fanout or [config.num_generations] * config.num_turns)
    pruned = _prune_of(config)
    match config.algorithm:
        case "grpo":
            algorithm = algorithms.grpo(fanout[0])
        case "naive":
            chains, turns = fanout[0], config.num_turns
            algorithm = algorithms.naive(chains, turns, config.solved_early, config.train_turns)
        case "tree_without_credit":
            algorithm = algorithms.tree_without_credit(fanout, pruned)
        case "murphy_mers":
            algorithm = algorithms.murphy_mers(fanout, config.gamma, config.childless, pruned)
        case "murphy_mars":
            shuffled, seed = config.shuffle_credit, config.seed
            algorithm = algorithms.murphy_mars(fanout, pruned, shuffled, seed)
    return dataclasses.replace(
        algorithm, scale=_SCALES[config.scale], balance=_BALANCES[config.balance]
    )


def _prune_of(config: TrainConfig) -> prune.Prune:
    b = config.prune_budget or 0
    if config.prune == "intra_group":
        return prune.intra_group(b, config.prune_rule, config.prune_keep_descendants)
    if config.prune == "inter_group":
        alphas = config.prune_alpha1, config.prune_alpha2
        return prune.inter_group(b, *alphas, config.prune_dropped_pays)
    return prune.keep_all


def steps_of(config: TrainConfig, num_tasks: int) -> int:
    """Number of steps of a run."""
    per_epoch = -(-num_tasks // config.per_device_train_batch_size)
    return config.max_steps if config.max_steps > 0 else per_epoch * config.num_train_epochs


_SCALES: dict[str, advantage.Scale] = {
    "sample": advantage.standardize,
    "population": advantage.standardize_population,
    "center": advantage.centre,
}
_BALANCES: dict[str, balance.Balance] = {
    "sum": balance.sum_of_groups,
    "turns": balance.mean_of_turns,
    "groups": balance.mean_of_groups,
}


def _check_ranges(config: TrainConfig) -> None:
    at_least = {
        "num_generations": 2, "num_turns": 1, "sandbox_workers": 1, "max_completion_length": 1,
        "num_train_epochs": 1, "per_device_train_batch_size": 1, "warmup_steps": 0,
        "weight_decay": 0, "beta": 0, "num_iterations": 1, "max_tokens_per_forward": 1,
        "lora_r": 1, "lora_alpha": 1, "save_steps": 0, "gamma": 0, "hidden_share": 0,
    }  # fmt: skip
    for name, least in at_least.items():
        if getattr(config, name) < least:
            raise ValueError(f"{name} is {getattr(config, name)}; give at least {least}")
    for name in ("learning_rate", "max_grad_norm", "temperature", "epsilon"):
        if not getattr(config, name) > 0:
            raise ValueError(f"{name} is {getattr(config, name)}; give a number above 0")
    if config.max_steps == 0 or config.max_steps < -1:
        raise ValueError(f"max_steps is {config.max_steps}; give a count, or -1 for whole epochs")
    if config.hidden_share >= 1:
        raise ValueError(f"hidden_share is {config.hidden_share}; give a share in [0, 1)")
    if config.gamma > 1:
        raise ValueError(f"gamma is {config.gamma}; give a share in [0, 1]")
    if not 0 < config.top_p <= 1:
        raise ValueError(f"top_p is {config.top_p}; give a share in (0, 1]")
    _check_tree(config)
    algorithm_of(config)


def _check_tree(config: TrainConfig) -> None:
    if config.fanout is not None and (not config.fanout or min(config.fanout) < 1):
        raise ValueError(f"fanout is {config.fanout}; give a count of at least 1 for every turn")
    if config.balance != "sum" and config.loss_type in ("bnpo", "dapo"):
        raise ValueError(
            f"balance is {config.balance!r}, but with loss_type {config.loss_type!r} all tokens "
            "weigh alike; choose loss_type 'grpo' or 'dr_grpo', or balance 'sum'"
        )
    if config.prune != "keep_all" and config.prune_budget is None:
        raise ValueError(f"prune is {config.prune!r}; say with prune_budget how many it keeps")
    if config.prune == "keep_all" and config.prune_budget is not None:
        raise ValueError("prune_budget is given but prune is 'keep_all'; name a pruning or drop it")
    if config.prune != "keep_all" and config.algorithm in ("grpo", "naive"):
        raise ValueError(f"prune works on trees that fan out, {config.algorithm} grows none")
    if config.shuffle_credit and config.algorithm != "murphy_mars":
        raise ValueError(f"shuffle_credit is a control of murphy_mars, not of {config.algorithm}")
