"""The peer: the real `trl.GRPOTrainer`, given a problem's samples in the layout that it makes.

Its `_compute_loss` is called as its training loop would call it, micro-batch by micro-batch, with
prompts padded on the left to the longest prompt of the generation batch, completions on the right
to the longest completion. Only settings differ from its defaults:

* Def. 1's weights: `loss_type="dr_grpo"` divides the sum over a micro-batch's tokens by rows times
  `max_completion_length`; `tool_mask`, a factor on every token's term, takes weight times that. So
  each token of policy loss and KL term has exactly its weight of Def. 1, by TRL's own code. Its
  logged means are then weighted means, which costs the same.
* `use_bias_correction_kl=False`: Def. 1's KL term is not multiplied by the ratio.
* precision and activation checkpointing (its default: bfloat16, and every layer twice) are what all
  ways are compared with.

Rewards, advantages, old and reference log-probs are given; making its inputs is not timed.
"""

import warnings
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from unittest import mock

import torch

from murphy_agents.tiny import make_tokenizer


def make(model, loss, micro_batch, autocast=False):
    """A trainer around `model`, which keeps its weights and gains TRL's forward.

    Args:
        model: a transformers model.
        loss: `temperature`, `epsilon`, `beta`.
        micro_batch: sequences at a time.
        autocast: bfloat16 for the products of a float32 model.
    """
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=lambda completions, **_: [0.0] * len(completions),
            args=GRPOConfig(
                output_dir=folder,
                loss_type="dr_grpo",
                beta=0.0,
                use_bias_correction_kl=False,
                epsilon=loss["epsilon"],
                temperature=loss["temperature"],
                use_cpu=model.device.type == "cpu",
                bf16=autocast,
                activation_checkpointing=False,
                report_to=[],
                per_device_train_batch_size=micro_batch,
                num_generations=micro_batch,
            ),
            train_dataset=Dataset.from_list([{"prompt": "add"}]),
            processing_class=make_tokenizer(["add"]),
        )
    # Given to the config, it would have the trainer load a reference model; the reference's
    # log-probs come with the inputs.
    trainer.beta = loss["beta"]
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    return trainer


def inputs(trainer, problem, rows):
    """A problem's samples as TRL has them, `rows` at a time, all at one width."""
    samples = problem.samples
    lengths = [len(sample.completion_ids) for sample in samples]
    prompts, completions = (
        max(len(ids) for ids in column)
        for column in zip(*((s.prompt_ids, s.completion_ids) for s in samples), strict=True)
    )
    whole = {
        "prompt_ids": _padded([s.prompt_ids for s in samples], prompts, left=True),
        "prompt_mask": _padded([(1,) * len(s.prompt_ids) for s in samples], prompts, left=True),
        "completion_ids": _padded([s.completion_ids for s in samples], completions),
        "completion_mask": _padded([(1,) * length for length in lengths], completions),
        "advantages": torch.tensor([s.advantage for s in samples]),
        "old_per_token_logps": _padded(problem.of_samples(problem.old_N), completions, zero=0.0),
        "ref_per_token_logps": _padded(problem.of_samples(problem.ref_N), completions, zero=0.0),
        "tool_mask": torch.tensor([[s.weight] for s in samples]).expand(-1, completions),
    }
    parts = []
    for start in range(0, len(samples), rows):
        part = {
            name: tensor[start : start + rows].to(trainer.model.device)
            for name, tensor in whole.items()
        }
        divisor = len(part["advantages"]) * trainer.max_completion_length
        parts.append(part | {"tool_mask": part["tool_mask"] * divisor})
    return parts


@contextmanager
def compact_head():
    """Within it, TRL's output layer scores completion tokens alone, as it does on CUDA.

    Elsewhere it scores every position, prompts and padding too. The choice is made by one function
    of `trl.trainer.utils`; its kernels ask for the device themselves and stay a processor's.
    """
    with mock.patch("trl.trainer.utils._use_triton", return_value=True):
        yield


def _padded(rows, width, left=False, zero=0):
    padded = torch.full((len(rows), width), zero)
    for row, values in zip(padded, rows, strict=True):
        place = slice(width - len(values), width) if left else slice(0, len(values))
        row[place] = torch.as_tensor(values, dtype=padded.dtype)
    return padded
