"""How much memory a run takes on its device: plain arithmetic on the shape of a model.

An estimate of the most, meant to be right within a fifth where the limits of the settings are
reached. Every part says what it assumes. Covered: models of decoder layers with attention and a
gated feed-forward part (Qwen3, OLMo 2, Llama). Not counted here: what the device's libraries take
and fragmentation, for which `card` holds a reserve; buffers such as rotary tables, masks of one
micro-batch, what a layer holds for a moment while prompts are read, copies of weights on their way
to another engine. Completions that are drawn at a time are counted as if each had the longest
prompt and its full length; where they are shorter, more of them fit into the same cache, and what
drawing takes grows with their number beyond what is counted here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

GIB = 1 << 30
HALF_SHARE = 0.8
"""What activations take with half-precision weights or autocast, of what they take in float32:
norms, and what adapters read, stay float32."""
CACHE_ROOM = 1.25
"""The cache is given a quarter more than it holds when it grows."""
_LAYERS = {"full_attention", "sliding_attention"}
"""Kinds of layers that keep keys and values of every id."""
_GATED = ("silu", "swish")
_STATES = {
    False: "AdamW: two numbers a trained weight",
    True: "AdamW: two bytes a trained weight, with scales; embeddings and norms in float32",
}
_STEPS = {False: "one number a trained weight", True: "the largest trained weight once more"}
"""By whether the optimizer keeps its states in 8 bits."""


@dataclass(frozen=True)
class Shape:
    """What of a model's config its memory hangs on."""

    num_layers: int
    hidden: int
    intermediate: int
    """Width of the feed-forward part."""
    query: int
    """Attention heads times their width."""
    key_value: int
    """Heads of keys (and of values) times their width."""
    vocab: int

    @classmethod
    def of(cls, config: Any) -> Shape:
        """From a `PretrainedConfig`.

        Raises:
            ValueError: it lacks a field, or describes a model that is not covered.
        """
        config = config.get_text_config()
        needed = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads")
        missing = [name for name in needed if not isinstance(getattr(config, name, None), int)]
        if missing or (other := _not_covered(config)):
            told = f"lacks {missing[0]}" if missing else f"has {other}"
            raise ValueError(f"a {config.model_type!r} config {told}: its memory is not estimated")
        heads = config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // heads
        return cls(
            num_layers=config.num_hidden_layers,
            hidden=config.hidden_size,
            intermediate=config.intermediate_size,
            query=heads * width,
            key_value=(getattr(config, "num_key_value_heads", None) or heads) * width,
            vocab=config.vocab_size,
        )


def _not_covered(config: Any) -> str | None:
    """What a model has by its config that the sums below know nothing of."""
    if experts := [n for n in ("num_experts", "num_local_experts") if getattr(config, n, None)]:
        return experts[0]
    if others := set(getattr(config, "layer_types", None) or ()) - _LAYERS:
        return f"layers of {min(others)!r}"
    # No config says whether the feed-forward part has a gate. Those with SiLU do, and Gemma's.
    activation = getattr(config, "hidden_act", None) or getattr(config, "hidden_activation", None)
    if activation in _GATED or config.model_type.startswith("gemma"):
        return None
    return f"the activation {activation!r}, and a gate is known of {' and '.join(_GATED)} alone"


@dataclass(frozen=True)
class Work:
    """What a run does with the model."""

    weight_bytes: int
    """Of all parameters."""
    trained_bytes: int
    """Of those that are trained."""
    number_bytes: int
    """Of one number in the type of the weights: 4 for float32."""
    optimizer_bytes: int
    """Of the optimizer's states."""
    step_bytes: int
    """That an optimizer step holds for a moment."""
    reference_bytes: int
    """Of the frozen copy; 0: none is kept."""
    rows: int
    """Completions that are drawn at a time."""
    row_tokens: int
    """Most ids of one of them, prompt included."""
    cache_tokens: int
    """Most ids that the cache may hold; a single row may pass it."""
    forward_tokens: int
    """Ids of one micro-batch of the update."""
    most_logits: int
    """Logits that the update holds at a time."""
    top_p: float = 1.0
    autocast: bool = False
    checkpointing: bool = False
    eight_bit: bool = False
    """Whether the optimizer keeps its states in 8 bits."""
    gathers_paths: bool = False
    """Whether attention gathers the keys and values of each segment's path along a trie."""
    draws_here: bool = True
    """Whether this model itself generates; else an engine with weights and a cache of its own."""
    unpacked_bytes: int = 0
    """Of the largest packed layer, which is unpacked for the time that it multiplies."""


class Part(NamedTuple):
    """Something that takes memory."""

    name: str
    num_bytes: float
    assumes: str


@dataclass(frozen=True)
class Estimate:
    """What is always held, and what each phase of a step holds besides."""

    always: tuple[Part, ...]
    phases: dict[str, tuple[Part, ...]]

    @property
    def always_bytes(self) -> float:
        """What is held from the first step's end on."""
        return sum(part.num_bytes for part in self.always)

    def phase_bytes(self, name: str) -> float:
        """What a phase takes, with what is always held."""
        return self.always_bytes + sum(part.num_bytes for part in self.phases[name])

    @property
    def widest(self) -> str:
        """The phase that takes most."""
        return max(self.phases, key=self.phase_bytes)

    @property
    def most_bytes(self) -> float:
        """The peak."""
        return self.phase_bytes(self.widest)


def estimate(shape: Shape, work: Work) -> Estimate:
    """The memory of a run."""
    always = [
        Part("weights", work.weight_bytes, "counted"),
        Part("gradients", work.trained_bytes, "kept from one step to the next"),
        Part("optimizer", work.optimizer_bytes, _STATES[work.eight_bit]),
    ]
    if work.reference_bytes:
        halved = work.reference_bytes < work.weight_bytes
        told = "a frozen copy, for KL" + (", linear layers in half precision" if halved else "")
        always.append(Part("reference", work.reference_bytes, told))
    unpacked = _unpacked(work)
    phases = {
        "generation": (_cache(shape, work), _drawing(shape, work), *unpacked),
        "update": (*_activations(shape, work), _logits(shape, work), *unpacked),
        "optimizer step": (Part("temporaries", work.step_bytes, _STEPS[work.eight_bit]),),
    }
    if not work.draws_here:
        del phases["generation"]
    return Estimate(tuple(always), phases)


def token_bytes(shape: Shape, number_bytes: int) -> int:
    """Keys and values of one id in all layers."""
    return 2 * shape.num_layers * shape.key_value * number_bytes


def rows_in(shape: Shape, work: Work, room_bytes: float) -> int:
    """Completions that generation can hold at a time in so much room, none too many for the run.

    0: not one. To have as many, set `max_cache_tokens` to their number times `work.row_tokens`.
    """
    a_row = CACHE_ROOM * work.row_tokens * token_bytes(shape, work.number_bytes)
    a_row += shape.vocab * _drawn_bytes(work)
    one = estimate(shape, replace(work, cache_tokens=work.row_tokens, draws_here=True))
    if one.phase_bytes("generation") > room_bytes:
        return 0
    return min(work.rows, 1 + int((room_bytes - one.phase_bytes("generation")) // a_row))


def kept_per_token(shape: Shape, gathers_paths: bool = False) -> int:
    """Numbers that one layer keeps of one token until backward.

    Six of the hidden width (each of the two norms keeps what goes in and what it divided; each of
    the two blocks its input), seven of the queries' (norm, rotation, attention's own inputs with
    keys and values repeated for all heads, its result), two of the keys', four of the feed-forward
    part's (gate, its activation, up, their product). Gathered paths are about three rows' worth of
    keys and of values where trees have two turns, in place of some of the above.
    """
    gathered = 5 * shape.key_value if gathers_paths else 0
    return (
        6 * shape.hidden + 7 * shape.query + 2 * shape.key_value + 4 * shape.intermediate + gathered
    )


def kept_bytes_per_token(
    shape: Shape, number_bytes: int, autocast: bool, gathers_paths: bool = False
) -> float:
    """The same in bytes, for weights whose numbers have `number_bytes`."""
    share = HALF_SHARE if autocast or number_bytes == 2 else 1.0
    return kept_per_token(shape, gathers_paths) * share * max(4, number_bytes)


def _cache(shape: Shape, work: Work) -> Part:
    tokens = max(min(work.rows * work.row_tokens, work.cache_tokens), work.row_tokens)
    a_token = token_bytes(shape, work.number_bytes)
    told = f"keys and values of {tokens:,} ids, {a_token:,} bytes each, and a quarter for growth"
    return Part("cache", CACHE_ROOM * tokens * a_token, told)


def _drawing(shape: Shape, work: Work) -> Part:
    each = _drawn_bytes(work)
    rows = min(work.rows, max(1, work.cache_tokens // work.row_tokens))
    told = f"{rows} completions of full length at a time, {each} bytes a token of the vocabulary"
    return Part("drawing", rows * shape.vocab * each, told)


def _drawn_bytes(work: Work) -> int:
    # Logits, scores and weights, sums in float64; sorted weights with their order for the nucleus.
    return 20 if work.top_p == 1 else 56


def _unpacked(work: Work) -> list[Part]:
    if not work.unpacked_bytes:
        return []
    return [Part("unpacked", work.unpacked_bytes, "the largest packed layer, while it multiplies")]


def _activations(shape: Shape, work: Work) -> list[Part]:
    each = kept_bytes_per_token(shape, work.number_bytes, work.autocast, work.gathers_paths)
    layer = each * work.forward_tokens
    told = f"{work.forward_tokens:,} ids a forward"
    if work.checkpointing:
        inputs = shape.num_layers * shape.hidden * work.number_bytes * work.forward_tokens
        parts = [Part("activations", inputs + layer, f"{told}, layers' inputs and one layer")]
    else:
        parts = [Part("activations", shape.num_layers * layer, f"{told}, all layers")]
    if work.autocast and work.number_bytes > 2:
        copies = 2 * work.trained_bytes / work.number_bytes
        parts.append(Part("half copies", copies, "autocast's, of the trained weights"))
    return parts


def _logits(shape: Shape, work: Work) -> Part:
    numbers = min(work.most_logits, work.forward_tokens * shape.vocab)
    told = f"{numbers // shape.vocab:,} tokens at a time, three arrays in float32"
    return Part("logits", 3 * 4 * numbers, told)
