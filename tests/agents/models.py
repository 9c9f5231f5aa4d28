"""Small models for tests, in float64 all the way, and random trees to train them on."""

import copy
import types
from functools import cache

import torch

from murphy_agents.tiny import make_model, make_tokenizer
from murphy_agents.tree import Group, Node
from murphy_agents.update import Sample


def tokenizer():
    """A copy of its own for each who asks: what it was made for is written down in it."""
    return copy.deepcopy(_tokenizer())


@cache
def _tokenizer():
    return make_tokenizer(["def add(a, b): return a + b"], vocab_size=264)


def small_model(kind="qwen3", seed=0, **settings):
    """A random model in float64; hidden width 32, two layers."""
    model = make_model(kind, tokenizer(), seed=seed, hidden_size=32, num_layers=2, **settings)
    return exact(model.double().eval())


def exact(model):
    """`model` without the float32 casts that transformers puts into norms and rotary positions."""
    for module in model.modules():
        name = type(module).__name__
        if name.endswith("RMSNorm"):
            module.forward = types.MethodType(_norm, module)
        elif name.endswith("RotaryEmbedding"):
            module.forward = types.MethodType(_rotary, module)
    return model


def _norm(self, hidden):
    variance = hidden.pow(2).mean(-1, keepdim=True)
    return self.weight * (hidden * torch.rsqrt(variance + self.variance_epsilon))


def _rotary(self, hidden, position_ids, layer_type=None):
    inv_freq = getattr(self, f"{layer_type}_inv_freq" if layer_type else "inv_freq")
    angles = position_ids[..., None].to(hidden) * inv_freq.to(hidden)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def ids(generator, low, high):
    length = int(torch.randint(low, high + 1, (), generator=generator))
    return tuple(torch.randint(3, 200, (length,), generator=generator).tolist())


def random_samples(num, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        Sample(ids(generator, 1, 9), ids(generator, 1, 7), advantage=0.5 - i % 3, weight=1 / num)
        for i in range(num)
    ]


def random_tree(fanout, seed=0, turn=1, kept=None):
    """A graded tree of random ids: every second node branches, `kept` nodes a group are trained."""
    generator = torch.Generator().manual_seed(1000 * seed + turn)
    size = fanout[0]
    kept = size if kept is None else min(kept, size)
    nodes = []
    for i in range(size):
        node = Node(reward=0.0, completion_ids=ids(generator, 1, 7), pruned=i >= kept)
        node.advantage = float(torch.randn((), generator=generator))
        node.weight = 0.0 if node.pruned else 1 / kept
        if len(fanout) > 1 and i % 2 == 0 and not node.pruned:
            node.refinements = random_tree(fanout[1:], 10 * seed + i + 1, turn + 1, kept)
        nodes.append(node)
    return Group(nodes, prompt_ids=ids(generator, 2, 9), turn=turn)


def gradient(model):
    """All gradients of the model as one vector."""
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def perturbed(model, seed, size=0.02):
    """A copy of `model` a little way off."""
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.add_(size * noise)
    return other


def related_tree(fanout, transcript="requote", seed=0, num_ids=3, kept=None):
    """A graded tree whose prompts quote what was tried; every node branches, `kept` are trained.

    Of so few ids that completions begin alike, end in each other, or are the same.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(low, high):
        length = int(torch.randint(low, high + 1, (), generator=generator))
        return tuple(torch.randint(3, 3 + num_ids, (length,), generator=generator).tolist())

    def grow(prompt, turn):
        size = fanout[turn - 1]
        keeps = size if kept is None else min(kept, size)
        nodes = []
        for i in range(size):
            node = Node(reward=0.0, completion_ids=draw(1, 6), pruned=i >= keeps)
            node.advantage = float(torch.randn((), generator=generator))
            node.weight = 0.0 if node.pruned else 1 / keeps
            if turn < len(fanout) and not node.pruned:
                # Quoted, the prompt goes on differently where its last two ids were.
                head = (*prompt[:-2], 100) if transcript == "requote" else prompt
                node.refinements = grow(head + node.completion_ids + draw(2, 5), turn + 1)
            nodes.append(node)
        return Group(nodes, prompt_ids=prompt, turn=turn)

    return grow((99, *draw(5, 9)), 1)


def sliding_model(kind="olmo3", window=4, seed=0):
    """A random model in float64 with a sliding layer before a full one."""
    from transformers import Olmo3Config, Olmo3ForCausalLM, Qwen3Config, Qwen3ForCausalLM

    sizes = {
        "vocab_size": 264, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "sliding_window": window,
        "layer_types": ["sliding_attention", "full_attention"], "max_position_embeddings": 512,
        "pad_token_id": None, "eos_token_id": None, "bos_token_id": None,
    }  # fmt: skip
    torch.manual_seed(seed)
    if kind == "olmo3":
        model = Olmo3ForCausalLM(Olmo3Config(**sizes))
    else:
        config = Qwen3Config(**sizes, head_dim=16, use_sliding_window=True)
        model = Qwen3ForCausalLM(config)
    return exact(model.double().eval())
