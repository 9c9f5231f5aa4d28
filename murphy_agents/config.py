"""Everything that a training run can be told.

Names are those of TRL's GRPOConfig where the meaning is the same. A field is a flag of
`murphy train`, a key of its YAML file and an argument of `TrainConfig`; types, ranges and
contradictions are checked before any work is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from murphy_agents.run.trackers import names_of
from murphy_agents.settings import by_field, check_names, check_types
from murphy_agents.settings import described as _field
from murphy_agents.strategies import algorithm_of
from murphy_agents.variants import VARIANTS


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
        "embedded",
        "folder or hub name of a causal language model with a chat template; 'embedded' makes a "
        "small one that has learned the embedded tasks from a weak teacher, 'embedded:SEED' "
        "another, 'probe' one that knows the probe tasks; 'tiny', 'tiny:olmo2' and 'tiny:llama' "
        "make one with random weights",
    )
    tasks: str = _field("embedded", "source of tasks, as murphy_env.sources.load takes it")
    bad_rows: Literal["stop", "skip"] = _field(
        "stop", "at a malformed row of the source; skipped ones are told"
    )
    env: str | None = _field(None, "'pkg.mod:make_env', a function without arguments that makes "
                             "the environment; tasks and the settings of the environment are then "
                             "its own affair")  # fmt: skip
    output_dir: str = _field("runs/murphy", "folder of metrics, rollouts, checkpoints and model")
    overwrite_output_dir: bool = _field(False, "train into a folder that holds a run already")

    # Algorithm
    algorithm: Literal["grpo", "murphy_mars", "murphy_mers", "naive", "tree_without_credit"] = (
        _field("murphy_mars", "how generations are laid out, credited and compared")
    )
    make_algorithm: str | None = _field(
        None,
        "'pkg.mod:function': given the TrainConfig, it makes an Algorithm in place of algorithm, "
        "with scale and balance of its own; what it keeps between steps is in no checkpoint, so "
        "a run with one that keeps something does not resume bit for bit",
    )
    num_generations: int = _field(8, "G, generations per prompt, at every turn (naive: chains)")
    fanout: list[int] | None = _field(None, "generations per prompt turn by turn, instead of G")
    num_turns: int | None = _field(
        None, "S, attempts per episode; as many as fanout has, else 2 (grpo draws the first alone)"
    )
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
    scale: Literal["sample", "population", "center", "leave_one_out"] | None = _field(
        None,
        "advantages: centered and divided by this standard deviation, centered alone, or less the "
        "mean of the others; as the paper of loss_type, if not given (grpo: sample)",
    )
    balance: Literal["sum", "turns", "groups"] = _field(
        "sum", "Def. 1's sum over groups, or each turn, or each group, of equal total weight"
    )

    # Environment
    prompts: str | None = _field(
        None, "a set's name, as 'terse', or 'pkg.mod:OBJECT'; the task's own"
    )
    reward: Literal["pass_rate", "gain"] = _field("pass_rate", "reward of one attempt")
    hidden_share: float = _field(0.0, "share of each task's tests withheld from feedback")
    transcript: Literal["requote", "chat"] | None = _field(
        None, "how earlier attempts are shown; as the model was made for, else 'requote'"
    )
    sandbox_level: str = _field("auto", "isolation of programs, as murphy_env.Sandbox takes it")
    sandbox_workers: int = _field(2, "programs that run at the same time")

    # Generation
    max_completion_length: int = _field(512, "most tokens of one completion")
    temperature: float = _field(1.0, "of sampling; log-probs are taken at the same temperature")
    top_p: float = _field(1.0, "nucleus; below 1 it biases the gradient")
    stop: list[str] | None = _field(
        None, "texts that end a completion, beside the model's end tokens; with spaces between"
    )
    schedule: Literal["eager", "level"] = _field(
        "eager", "refine an attempt at once, or when its whole turn is judged; on a CPU with one "
        "thread only 'level' repeats a run bit for bit",
    )  # fmt: skip
    engine: Literal["transformers", "vllm", "vllm_server"] = _field(
        "transformers", "what generates: the model in training itself; vLLM in this process; a "
        "vLLM server, for other devices",
    )  # fmt: skip
    vllm_gpu_memory_utilization: float = _field(
        0.3, "share of the GPU's memory that vLLM takes, weights and cache, beside the training"
    )
    vllm_max_model_length: int | None = _field(
        None, "most ids of prompt and completion in vLLM; the model's, and never above a server's"
    )
    vllm_dtype: Literal["float32", "bfloat16", "float16"] | None = _field(
        None, "of vLLM's weights; as those in training"
    )
    vllm_server_base_url: str | None = _field(
        None, "a server that runs already, 'http://host:8000'; without it one is started here"
    )
    vllm_server_devices: str | None = _field(
        None, "GPUs of the server that is started here, as in CUDA_VISIBLE_DEVICES: '1'; over "
        "several, '1,2', its model is spread",
    )  # fmt: skip
    vllm_sync_folder: str | None = _field(
        None, "folder that this process and the server both see, for weights; one in output_dir"
    )
    sync_tolerance: float | None = _field(
        None, "mean distance in nats that vLLM's log-probs may have from the trainer's after a "
        "sync; 1e-4 in float32, 0.05 in half precision",
    )  # fmt: skip
    max_cache_tokens: int = _field(
        1 << 18, "prompt and completion ids, padding too, that generation may hold at a time"
    )

    # Update
    max_steps: int = _field(-1, "rollouts; -1: as num_train_epochs says")
    num_train_epochs: int = _field(
        1, "passes over the tasks; 0: no step, the final model is the starting one"
    )
    per_device_train_batch_size: int = _field(8, "problems per step")
    optim: Literal["adamw_torch", "adamw_8bit"] = _field(
        "adamw_torch", "AdamW with states as wide as the weights, or in 8 bits (bitsandbytes)"
    )
    learning_rate: float = _field(1e-6, "of AdamW, its highest")
    lr_scheduler_type: str = _field("linear", "how it falls: a name that transformers knows")
    warmup_steps: int = _field(0, "steps over which the learning rate rises from 0")
    weight_decay: float = _field(0.1, "of AdamW; not on norms and biases")
    adam_beta1: float = _field(0.9, "of AdamW, memory of the gradient's mean")
    adam_beta2: float = _field(0.999, "of AdamW, memory of its size; 0.95 suits short, fast runs")
    max_grad_norm: float = _field(1.0, "norm at which gradients are clipped")
    beta: float = _field(0.04, "weight of the KL term; 0 saves the reference model")
    epsilon: float = _field(
        0.2, "how far a probability ratio may fall below 1 (gspo's paper: 3e-4; cispo: no bound)"
    )
    epsilon_high: float | None = _field(
        None, "how far it may rise above 1; epsilon, if not given (dapo's paper: 0.28; gspo's 4e-4)"
    )
    num_iterations: int = _field(1, "optimizer steps per rollout")
    loss_type: Literal["grpo", "bnpo", "dapo", "dr_grpo", "gspo", "cispo", "rloo"] = _field(
        "grpo", "weight and probability ratio of a token, and scale of advantages; 'grpo' is Def. 1"
    )
    importance_sampling: Literal[
        "none", "token_truncate", "token_mask", "sequence_truncate", "sequence_mask"
    ] = _field(
        "none", "correct for the sampler's own log-probs, by token or completion, and what is done "
        "above importance_sampling_cap"
    )  # fmt: skip
    importance_sampling_cap: float = _field(3.0, "largest factor of that correction")
    mask_truncated_completions: bool = _field(False, "leave cut completions out of the loss")
    max_tokens_per_forward: int = _field(
        16384, "tokens that one forward pass may hold, padding included"
    )
    layout: Literal["auto", "trie", "padded"] = _field(
        "auto",
        "how completions go through the model: each distinct prefix once, along a trie; each "
        "completion as a padded row; or as costs less",
    )
    tree_attention: Literal["segments", "dense", "flex", "varlen"] | None = _field(
        None, "how attention along a trie is done; segments on CPUs, flex on GPUs"
    )

    # Model
    use_peft: bool = _field(
        False,
        "train LoRA adapters, without dropout, since log-probs must repeat; the reference is then "
        "the bare model",
        short="lora",
    )
    lora_r: int = _field(16, "rank of the adapters")
    lora_alpha: int = _field(
        32, "scale of the adapters: they are multiplied by lora_alpha / lora_r"
    )
    use_rslora: bool = _field(False, "divide lora_alpha by the root of the rank instead")
    lora_target_modules: str = _field(
        "auto",
        "layers that get adapters: names with commas; 'all-linear', all but the output layer; or "
        "the projections of attention and feed-forward part where these are known, else the same",
    )
    load_in_4bit: bool = _field(
        False, "hold the linear layers of the model under the adapters in 4 bits (QLoRA)"
    )
    dtype: Literal["float32", "bfloat16", "float64"] = _field("float32", "of the weights")
    bf16: bool = _field(False, "multiply matrices of float32 weights in bfloat16 in the update")
    gradient_checkpointing: bool = _field(False, "recompute activations, for less memory")
    disable_dropout: bool = _field(False, "set dropout to 0 instead of refusing a model with it")
    device: str = _field("auto", "'cpu', 'cuda', ...; auto takes a GPU where there is one")

    # Evaluation and report after training, by `murphy train` and `report.write_report`
    eval_tasks: str | None = _field(
        None, "source of the tasks on which the model is compared with what it was; None: no such"
    )
    eval_iterations: int = _field(3, "k, most attempts at such a task")
    eval_runs: int = _field(1, "chains of attempts per task")
    eval_temperature: float = _field(0.6, "of sampling there; 0 takes the likeliest token")
    eval_top_p: float = _field(0.95, "nucleus of sampling there")

    # Run
    seed: int = _field(0, "of weights, order of tasks and sampling")
    save_steps: int = _field(50, "steps between checkpoints; 0: only the final model")
    save_total_limit: int | None = _field(None, "checkpoints to keep, the newest; None: all")
    keep_steps: list[int] | None = _field(
        None, "steps with a checkpoint besides, which save_total_limit does not delete"
    )
    resume: bool = _field(False, "go on from the last checkpoint in output_dir, if there is one")
    dry_run: bool = _field(False, "check settings, model, tasks, counts and memory; train nothing")
    card_gb: float | None = _field(
        None,
        "GB of the GPU that the run is for, to compare a dry run's estimate with; the one here",
    )
    report_to: str = _field("none", "trackers of metrics: tensorboard, wandb, trackio; with commas")

    def __post_init__(self) -> None:
        check_types(self)
        _settle_fanout(self)
        if self.make_algorithm is None:
            self.scale = self.scale or VARIANTS[self.loss_type].scale
        _check_ranges(self)
        _check_together(self)
        algorithm_of(self)

    @property
    def algorithm_name(self) -> str:
        """Of the algorithm, or of the function that makes it."""
        return self.make_algorithm or self.algorithm

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> TrainConfig:
        """From the keys of a YAML file; an unknown key is an error that names the nearest one."""
        check_names(cls, values, "murphy train")
        return cls(**by_field(cls, values))


def steps_of(config: TrainConfig, num_tasks: int) -> int:
    """Number of steps of a run; 0 where `num_train_epochs` is."""
    per_epoch = -(-num_tasks // config.per_device_train_batch_size)
    return config.max_steps if config.max_steps > 0 else per_epoch * config.num_train_epochs


def check_kept(config: TrainConfig, num_steps: int) -> None:
    """Raise ValueError where a checkpoint is to be kept of a step that the run does not have."""
    if config.keep_steps is not None and max(config.keep_steps) > num_steps:
        raise ValueError(
            f"keep_steps is {config.keep_steps}, but the run has {num_steps} steps; name none "
            f"above, or raise max_steps or num_train_epochs"
        )


def _check_ranges(config: TrainConfig) -> None:
    for name, least in _AT_LEAST.items():
        if (value := getattr(config, name)) is not None and value < least:
            raise ValueError(f"{name} is {value}; give at least {least}")
    for name in _ABOVE_ZERO:
        if (value := getattr(config, name)) is not None and not value > 0:
            raise ValueError(f"{name} is {value}; give a number above 0")
    for name, (inside, said) in _SHARES.items():
        if not inside(getattr(config, name)):
            raise ValueError(f"{name} is {getattr(config, name)}; give a share in {said}")
    if config.max_steps == 0 or config.max_steps < -1:
        raise ValueError(
            f"max_steps is {config.max_steps}; give a count, or -1 for whole epochs (of which "
            "num_train_epochs may be 0: nothing is trained)"
        )
    if config.keep_steps is not None and min(config.keep_steps, default=0) < 1:
        raise ValueError(f"keep_steps is {config.keep_steps}; give steps, 1 or more each")
    if config.max_steps > 0:
        check_kept(config, config.max_steps)
    names_of(config.report_to)


LEAST_VLLM_TEMPERATURE = 0.01
"""What is below, vLLM raises to it, without a word."""
_ABOVE_ZERO = (
    "learning_rate", "max_grad_norm", "temperature", "epsilon", "epsilon_high", "sync_tolerance",
    "card_gb",
)  # fmt: skip
_SHARES: dict[str, tuple[Callable[[float], bool], str]] = {
    **dict.fromkeys(("hidden_share", "adam_beta1", "adam_beta2"), (lambda x: 0 <= x < 1, "[0, 1)")),
    "gamma": (lambda x: 0 <= x <= 1, "[0, 1]"),
    **dict.fromkeys(
        ("top_p", "eval_top_p", "vllm_gpu_memory_utilization"), (lambda x: 0 < x <= 1, "(0, 1]")
    ),
}

_AT_LEAST = {
    "num_generations": 2, "num_turns": 1, "sandbox_workers": 1, "max_completion_length": 1,
    "num_train_epochs": 0, "per_device_train_batch_size": 1, "warmup_steps": 0,
    "weight_decay": 0, "beta": 0, "num_iterations": 1, "max_tokens_per_forward": 1,
    "max_cache_tokens": 1, "vllm_max_model_length": 2, "lora_r": 1, "lora_alpha": 1,
    "save_steps": 0, "save_total_limit": 1,
    "eval_iterations": 1, "eval_runs": 1, "eval_temperature": 0, "importance_sampling_cap": 1,
}  # fmt: skip


def _check_together(config: TrainConfig) -> None:
    """Refuse settings that contradict each other, or that nothing would read."""
    for name, reads, where in _READ_WHERE:
        default = TrainConfig.__dataclass_fields__[name].default
        if getattr(config, name) != default and not reads(config):
            raise ValueError(f"{name} is given but read only {where}; drop it, or change that")
    if config.resume and config.overwrite_output_dir:
        raise ValueError(
            "resume and overwrite_output_dir are both given: the one goes on with the run in "
            "output_dir, the other deletes it; give one of them"
        )
    if config.num_train_epochs == 0 and config.max_steps > 0:
        raise ValueError(
            f"num_train_epochs is 0, so that nothing is trained, but max_steps {config.max_steps}; "
            "give one of them"
        )
    if config.prune != "keep_all" and config.prune_budget is None:
        raise ValueError(f"prune is {config.prune!r}; say with prune_budget how many it keeps")
    if config.balance != "sum" and VARIANTS[config.loss_type].weight == "token_mean":
        others = [name for name, variant in VARIANTS.items() if variant.weight != "token_mean"]
        raise ValueError(
            f"balance is {config.balance!r}, but with loss_type {config.loss_type!r} all tokens "
            f"weigh alike; choose loss_type {', '.join(others)}, or balance 'sum'"
        )
    if config.importance_sampling.startswith("sequence") and config.top_p < 1:
        raise ValueError(
            f"importance_sampling is {config.importance_sampling!r} but top_p {config.top_p}: what "
            "the sampler leaves out of each token's choice multiplies up over a completion, to "
            f"about {config.top_p} to the power of its length; take a token_ mode, or top_p 1"
        )
    _check_generation(config)
    _check_types_of_numbers(config)
    if config.reward == "gain" and config.algorithm_name in ("murphy_mars", "murphy_mers"):
        raise ValueError(
            f"reward is 'gain' but {config.algorithm} compares what attempts reach, not what they "
            "add: a repair's gain would count against the attempt it repairs; use 'pass_rate'"
        )


def _check_generation(config: TrainConfig) -> None:
    if config.stop is not None and not all(config.stop):
        raise ValueError(f"stop is {config.stop!r}; an empty text would end every completion")
    if config.engine != "transformers" and config.temperature < LEAST_VLLM_TEMPERATURE:
        raise ValueError(
            f"temperature is {config.temperature}, which vLLM raises to {LEAST_VLLM_TEMPERATURE}; "
            f"give at least that, or use engine 'transformers'"
        )
    if config.engine != "transformers" and config.dtype == "float64" and not config.vllm_dtype:
        raise ValueError(
            "dtype is 'float64', which vLLM cannot compute in; set vllm_dtype to 'float32' and "
            "sync_tolerance to what that costs, or use engine 'transformers'"
        )
    if config.vllm_server_base_url and config.vllm_server_devices:
        raise ValueError(
            f"vllm_server_devices is {config.vllm_server_devices!r}, but the server at "
            f"{config.vllm_server_base_url} runs already, where it was started; drop one of them"
        )
    if config.vllm_server_devices is not None:
        devices = [name.strip() for name in config.vllm_server_devices.split(",")]
        if not all(devices) or len(set(devices)) < len(devices):
            raise ValueError(
                f"vllm_server_devices is {config.vllm_server_devices!r}; give each GPU once, "
                "as in '1' or '1,2'"
            )


def _check_types_of_numbers(config: TrainConfig) -> None:
    if config.bf16 and config.dtype == "float64":
        raise ValueError(
            "bf16 is set and dtype is 'float64', which half precision does not touch: nothing "
            "would change; use dtype 'float32', or drop bf16"
        )
    if config.optim == "adamw_8bit" and config.dtype == "float64":
        raise ValueError(
            "optim is 'adamw_8bit' and dtype 'float64', for which there are no 8-bit states; use "
            "dtype 'float32', or optim 'adamw_torch'"
        )


def _settle_fanout(config: TrainConfig) -> None:
    """Bring `fanout` and `num_turns` to say the same."""
    fanout = config.fanout
    if fanout is None:
        config.num_turns = 2 if config.num_turns is None else config.num_turns
        return
    if not fanout or min(fanout) < 1 or max(fanout) < 2:
        raise ValueError(f"fanout is {fanout}; give a count for every turn, 2 or more somewhere")
    if config.num_turns not in (None, len(fanout)):
        raise ValueError(f"fanout is {fanout} but num_turns {config.num_turns}; give one of them")
    config.num_turns = len(fanout)


def _algorithm_in(*names: str) -> Callable[[TrainConfig], bool]:
    return lambda config: config.algorithm_name in names


def _is_named(config: TrainConfig) -> bool:
    return config.make_algorithm is None


def _or_made(reads: Callable[[TrainConfig], bool]) -> Callable[[TrainConfig], bool]:
    """Read in these cases, or by a function that makes an algorithm, as it may be."""
    return lambda config: not _is_named(config) or reads(config)


def _prune_is(name: str) -> Callable[[TrainConfig], bool]:
    return lambda config: config.prune == name


def _reads_epsilon(config: TrainConfig) -> bool:
    # cispo has no lower bound, and without an upper one of its own epsilon is that.
    return VARIANTS[config.loss_type].ratio != "detached" or config.epsilon_high is None


def _engine_is(*names: str) -> Callable[[TrainConfig], bool]:
    return lambda config: config.engine in names


def _is_dry_for_a_gpu(config: TrainConfig) -> bool:
    return config.dry_run and config.device.partition(":")[0] in ("auto", "cuda")


_TREES = ("murphy_mars", "murphy_mers", "tree_without_credit")
_OF_EVALUATION = ("eval_iterations", "eval_runs", "eval_temperature", "eval_top_p")
_OF_VLLM = ("vllm_max_model_length", "vllm_dtype", "sync_tolerance")
_OF_SERVER = ("vllm_server_base_url", "vllm_server_devices", "vllm_sync_folder")
_OF_OUR_ENV = ("tasks", "bad_rows", "prompts", "reward", "hidden_share", "sandbox_level")
_OF_LORA = ("lora_r", "lora_alpha", "use_rslora", "lora_target_modules")
_READ_WHERE: list[tuple[str, Callable[[TrainConfig], Any], str]] = [
    *((name, _is_named, "without make_algorithm") for name in ("algorithm", "scale", "balance")),
    ("fanout", _or_made(_algorithm_in(*_TREES)), f"by the algorithms {', '.join(_TREES)}"),
    ("num_generations", lambda config: config.fanout is None, "without fanout"),
    *((name, lambda config: config.env is None, "without env") for name in _OF_OUR_ENV),
    *((name, lambda config: config.eval_tasks, "with eval_tasks") for name in _OF_EVALUATION),
    ("prune", _algorithm_in(*_TREES), f"by the algorithms {', '.join(_TREES)}"),
    ("gamma", _or_made(_algorithm_in("murphy_mers")), "by murphy_mers"),
    ("childless", _algorithm_in("murphy_mers"), "by murphy_mers"),
    ("shuffle_credit", _algorithm_in("murphy_mars"), "by murphy_mars"),
    ("solved_early", _algorithm_in("naive"), "by naive"),
    ("train_turns", _algorithm_in("naive"), "by naive"),
    ("prune_budget", lambda config: config.prune != "keep_all", "with a prune"),
    ("prune_rule", _prune_is("intra_group"), "by prune 'intra_group'"),
    ("prune_keep_descendants", _prune_is("intra_group"), "by prune 'intra_group'"),
    ("prune_alpha1", _prune_is("inter_group"), "by prune 'inter_group'"),
    ("prune_alpha2", _prune_is("inter_group"), "by prune 'inter_group'"),
    ("prune_dropped_pays", _prune_is("inter_group"), "by prune 'inter_group'"),
    ("epsilon", _reads_epsilon, "by loss_type other than cispo, or without epsilon_high"),
    (
        "importance_sampling_cap",
        lambda config: config.importance_sampling != "none",
        "with an importance_sampling",
    ),
    ("max_cache_tokens", _engine_is("transformers"), "by engine 'transformers'"),
    ("vllm_gpu_memory_utilization", _engine_is("vllm"), "by engine 'vllm'"),
    *((name, _engine_is("vllm", "vllm_server"), "by the vLLM engines") for name in _OF_VLLM),
    *((name, _engine_is("vllm_server"), "by engine 'vllm_server'") for name in _OF_SERVER),
    ("card_gb", _is_dry_for_a_gpu, "by a dry_run whose device is auto or cuda"),
    ("tree_attention", lambda config: config.layout != "padded", "with a layout of tries"),
    ("save_total_limit", lambda config: config.save_steps > 0, "with save_steps"),
    *((name, lambda config: config.use_peft, "with use_peft") for name in _OF_LORA),
    (
        "load_in_4bit",
        lambda config: config.dtype != "float64",
        "with dtype 'float32' or 'bfloat16', of all but the linear layers",
    ),
    (
        "load_in_4bit",
        lambda config: config.engine == "transformers" or config.sync_tolerance is not None,
        "by engine 'transformers', or with the sync_tolerance that vLLM needs, which samples from "
        "the model in full precision",
    ),
]
