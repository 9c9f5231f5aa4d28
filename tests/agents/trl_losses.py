"""TRL's trainers around a small float64 model, for their losses; and its layout of samples.

TRL's output layer works in float32, whatever the model's type: it agrees within 1e-6.
"""

import torch
from datasets import Dataset
from models import small_model, tokenizer
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from murphy_agents.update import trained_logprobs

_SETTINGS = {
    "beta": 0.0,
    "epsilon": 0.05,
    "temperature": 0.6,
    "use_cpu": True,
    "bf16": False,
    "activation_checkpointing": False,
    "report_to": [],
    "per_device_train_batch_size": 2,
    "num_generations": 2,
}


def grpo_trainer(folder):
    """TRL's trainer of GRPO and its variants."""
    settings = GRPOConfig(
        output_dir=str(folder),
        loss_type="grpo",
        use_bias_correction_kl=False,  # Def. 1's KL term stands outside of the ratio
        **_SETTINGS,
    )
    trainer = _trainer(GRPOTrainer, settings)
    # Given to the config, it would have the trainer load a reference model from the hub; the
    # reference's log-probs come with the inputs here.
    trainer.beta = 0.04
    trainer.current_gradient_accumulation_steps = 1
    return trainer


def rloo_trainer(folder):
    """TRL's trainer of RLOO."""
    return _trainer(RLOOTrainer, RLOOConfig(output_dir=str(folder), **_SETTINGS))


def _trainer(kind, settings):
    return kind(
        model=small_model(),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=settings,
        train_dataset=Dataset.from_list([{"prompt": "add"}]),
        processing_class=tokenizer(),
    )


def as_trl(samples, old, reference, temperature):
    """Samples in TRL's layout: prompts padded left, completions right."""
    prompt_ids, prompt_mask = _pad([s.prompt_ids for s in samples], left=True)
    completion_ids, completion_mask = _pad([s.completion_ids for s in samples], left=False)

    def logps(model):
        padded = torch.zeros(completion_ids.shape, dtype=torch.float64)
        found_N = trained_logprobs(model, samples, temperature).detach()
        padded[completion_mask.bool()] = found_N
        return padded

    old_logps = logps(old)
    return {
        "prompt_ids": prompt_ids,
        "prompt_mask": prompt_mask,
        "completion_ids": completion_ids,
        "completion_mask": completion_mask,
        "num_items_in_batch": completion_mask.sum(),
        "advantages": torch.tensor([s.advantage for s in samples], dtype=torch.float64),
        "old_per_token_logps": old_logps,
        "old_logps": old_logps.sum(1),
        "ref_per_token_logps": logps(reference),
    }


def _pad(rows, left):
    width = max(map(len, rows))
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        columns = slice(width - len(row), width) if left else slice(0, len(row))
        ids[i, columns], mask[i, columns] = torch.tensor(row), 1
    return ids, mask
