"""What the counts mean for large models: products, minutes and bytes. Computed, not measured.

Names: P weights of all layers that are multiplied with (no embeddings, no norms), L layers, H
hidden size, d size of a head, n heads, k heads of keys and values, I width of the MLP, V
vocabulary.
"Tokens" are positions run, "trained" completion tokens, "pairs" (position, position it sees).
"""

from dataclasses import dataclass

from murphy_agents.update.head import MAX_LOGITS_CUDA

GB = 1e9
HALF, SINGLE = 2, 4


@dataclass(frozen=True)
class Model:
    """Sizes of a dense decoder with gated MLPs, as its `config.json` has them."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    tie_word_embeddings: bool

    @property
    def linears(self):
        """(inputs, outputs) of the seven matrices of a layer: q, k, v, o, gate, up, down."""
        hidden, inner = self.hidden_size, self.intermediate_size
        queries, keys = self.num_attention_heads * self.head_dim, self.keys
        attention = [(hidden, queries), (hidden, keys), (hidden, keys), (queries, hidden)]
        return [*attention, (hidden, inner), (hidden, inner), (inner, hidden)]

    @property
    def keys(self):
        """k·d."""
        return self.num_key_value_heads * self.head_dim

    @property
    def body(self):
        """P = L · (2·H·n·d + 2·H·k·d + 3·H·I)."""
        return self.num_hidden_layers * sum(i * o for i, o in self.linears)

    @property
    def head(self):
        """V·H."""
        return self.vocab_size * self.hidden_size

    @property
    def parameters(self):
        """P + V·H, twice V·H where embedding and output layer are apart; norms left out."""
        return self.body + self.head * (1 if self.tie_word_embeddings else 2)


def forward_flops(model, work, trained):
    """A forward without gradient: 2·P a token, 4·L·n·d a pair, 2·V·H a trained token.

    4·L·n·d: for each pair, head and layer, d products for the score and d for the mixed value, each
    a multiplication and an addition. The output layer runs on trained tokens alone.
    """
    return 2 * model.body * work.tokens + _pair_flops(model) * work.pairs + 2 * model.head * trained


def update_flops(model, work, trained, lora=False):
    """Forward, backward and the layers' second forward under gradient checkpointing.

    A token costs 2·P forward, 4·P backward (gradients of states and of weights) and 2·P again; with
    LoRA no gradient of the frozen weights, 2·P less, the adapters themselves left out. A pair costs
    4·L·n·d forward, 2.5 times that backward (five products in place of two) and once again. The
    output layer is made again too: 8·V·H a trained token, 6·V·H with LoRA.
    """
    per_weight = 6 if lora else 8
    return (
        per_weight * (model.body * work.tokens + model.head * trained)
        + (1 + 2.5 + 1) * _pair_flops(model) * work.pairs
    )


def model_flops(model, work, trained):
    """What an update needs without making anything twice: the numerator of a utilisation.

    6·P a token, 3.5 · 4·L·n·d a pair, 6·V·H a trained token.
    """
    return (
        6 * (model.body * work.tokens + model.head * trained)
        + 3.5 * _pair_flops(model) * work.pairs
    )


def step_flops(model, counts, layout, lora=False):
    """An update with the reference's forward; in TRL with vLLM the old policy's forward besides.

    The library takes old log-probs from the update's own forward, TRL's correction of the sampler's
    log-probs makes it run the policy once more.
    """
    work = getattr(counts, layout)
    forwards = 2 if layout == "padded" else 1
    return update_flops(model, work, counts.trained, lora) + forwards * forward_flops(
        model, work, counts.trained
    )


def minutes(flops, problems, tflops):
    """How long so many problems take: flops · problems / (tflops · 1e12) / 60."""
    return flops * problems / (tflops * 1e12) / 60


def memory(model, counts, rank):
    """Bytes by part, the whole problem in one row of the trie layout, bf16 products.

    * full: 18 a parameter: weights, gradients and two moments in float32 (4 + 4 + 8), and the bf16
      copies that autocast makes
    * full, 8-bit moments: 12 a parameter: 4 + 4 + 2 + 2
    * reference: a frozen copy, layers in bf16, embeddings (and an output layer tied to them) in
      float32
    * LoRA: the frozen bf16 weights, and 16 for each of rank · Σ(inputs + outputs) adapter weights
    * states: what checkpointing keeps, tokens · L · H · 4, as autocast leaves a layer's input in
      float32 ("bf16 states", on bf16 weights: half); and one live layer,
      tokens · (8·H + 4·n·d + 4·k·d + 3·I) · 2, unfused, give or take 30 %
    * every layer's activations: L live layers, without checkpointing
    * gathered: keys and values along all paths, 2 · k·d · 2 each (`varlen` attention only)
    * chunked head: float32 gradient V·H·4, bf16 copy V·H·2, two float32 chunks of logits, states of
      trained tokens
    * full logits: tokens · V · 4, one copy; a loss on them needs three to four
    """
    tokens = counts.trie.tokens
    adapters = model.num_hidden_layers * rank * sum(i + o for i, o in model.linears)
    live = tokens * HALF * _activations(model)
    return {
        "full": 18 * model.parameters,
        "full, 8-bit moments": 12 * model.parameters,
        "reference": HALF * model.parameters + (SINGLE - HALF) * model.head,
        "LoRA": HALF * model.parameters + 16 * adapters,
        "states": tokens * model.num_hidden_layers * model.hidden_size * SINGLE + live,
        "bf16 states": tokens * model.num_hidden_layers * model.hidden_size * HALF + live,
        "every layer's activations": model.num_hidden_layers * live,
        "gathered": counts.gathered * 2 * model.keys * HALF,
        "chunked head": (model.head + 2 * MAX_LOGITS_CUDA) * SINGLE
        + model.head * HALF
        + counts.trained * model.hidden_size * HALF,
        "full logits": tokens * model.vocab_size * SINGLE,
    }


ALWAYS = ("gathered", "chunked head")
WAYS = {
    "full and reference": ("full", "reference", "states", *ALWAYS),
    "full, 8-bit moments, and reference": ("full, 8-bit moments", "reference", "states", *ALWAYS),
    "LoRA": ("LoRA", "bf16 states", *ALWAYS),
}
"""Ways to train and the parts that each adds up; LoRA's reference is the model without adapters."""


def tables(settings, counts):
    """All figures by model: `{"flops", "minutes", "memory_gb", "totals_gb"}`.

    Args:
        settings: see `settings.yaml`.
        counts: `{tree: Counts}` of one transcript.
    """
    wanted = settings["roofline"]
    found = {}
    for name, sizes in settings["models"].items():
        model = Model(**sizes)
        parts = memory(model, counts[wanted["tree"]], wanted["lora_rank"])
        found[name] = {
            "parameters": {"body": model.body, "head": model.head, "all": model.parameters},
            "flops": {tree: _flops(model, each) for tree, each in counts.items()},
            "minutes": {
                tree: {
                    rate: minutes(step_flops(model, each, "trie"), wanted["problems"], rate)
                    for rate in wanted["tflops"]
                }
                for tree, each in counts.items()
            },
            "memory_gb": {part: size / GB for part, size in parts.items()},
            "totals_gb": {way: sum(parts[p] for p in named) / GB for way, named in WAYS.items()},
        }
    return found


def _flops(model, counts):
    layouts = ("padded", "unpadded", "trie")
    update = {name: update_flops(model, getattr(counts, name), counts.trained) for name in layouts}
    step = {name: step_flops(model, counts, name) for name in ("padded", "trie")}
    return {
        "update": update,
        "update ratio": update["padded"] / update["trie"],
        "step": step,
        "step ratio": step["padded"] / step["trie"],
        "LoRA step": step_flops(model, counts, "trie", lora=True),
    }


def _pair_flops(model):
    return 4 * model.num_hidden_layers * model.num_attention_heads * model.head_dim


def _activations(model):
    """Numbers that a layer keeps for backward, a token."""
    queries = model.num_attention_heads * model.head_dim
    return 8 * model.hidden_size + 4 * queries + 4 * model.keys + 3 * model.intermediate_size
