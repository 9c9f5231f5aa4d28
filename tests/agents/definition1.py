"""The paper's Def. 1 word by word: loops over groups, generations and tokens, one forward each.

Knows nothing of batches, weights or flat tensors; the library's update is held against it.
"""

import torch


def sequence_logprobs(model, prompt_ids, completion_ids, temperature):
    """log π(o_t | prompt, o_<t) of each completion token, from one unpadded forward."""
    ids = torch.tensor([[*prompt_ids, *completion_ids]])
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
    found = []
    for t, token in enumerate(completion_ids):
        scaled = logits[len(prompt_ids) + t - 1] / temperature
        found.append(scaled[token] - torch.logsumexp(scaled, dim=0))
    return found


def objective(trees, policy, old, reference, temperature, epsilon, beta):
    """J of Def. 1, averaged over the trees; a higher value is better."""
    total = 0.0
    for root in trees:
        total = total + _tree(root, policy, old, reference, temperature, epsilon, beta)
    return total / len(trees)


def _tree(group, policy, old, reference, temperature, epsilon, beta):
    value = 0.0
    kept = [node for node in group.nodes if not node.pruned and node.reward is not None]
    for node in group.nodes:
        # Refinements of a pruned node may have been kept; they say so themselves.
        if node.refinements is not None and node.reward is not None:
            value = value + _tree(
                node.refinements, policy, old, reference, temperature, epsilon, beta
            )
        if node not in kept or not node.completion_ids:
            continue
        pair = (group.prompt_ids, node.completion_ids)
        new_logps = sequence_logprobs(policy, *pair, temperature)
        with torch.no_grad():
            old_logps = sequence_logprobs(old, *pair, temperature)
            ref_logps = sequence_logprobs(reference, *pair, temperature)
        inner = 0.0
        for new, before, ref in zip(new_logps, old_logps, ref_logps, strict=True):
            ratio = torch.exp(new) / torch.exp(before)
            clipped = min(max(ratio, 1 - epsilon), 1 + epsilon)
            kl = torch.exp(ref) / torch.exp(new) - torch.log(torch.exp(ref) / torch.exp(new)) - 1
            inner = inner + min(ratio * node.advantage, clipped * node.advantage) - beta * kl
        value = value + inner / (len(kept) * len(node.completion_ids))
    return value
