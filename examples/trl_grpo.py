"""TRL's GRPOTrainer with programs rewarded by murphy's sandbox: one turn, no feedback.

    python examples/trl_grpo.py --max_steps 2
    python examples/trl_grpo.py --model Qwen/Qwen3-0.6B --tasks mbpp:train --max_steps 200

Without --model a tiny one with random weights is trained: it shows that all parts fit, no more.
"""

import argparse

import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from murphy_agents.tiny import make_policy
from murphy_env import Sandbox, extract_code, sources


def main():
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="folder or hub name; default: a tiny random model")
    parser.add_argument("--tasks", default="embedded", help="as murphy_env.sources.load takes it")
    parser.add_argument("--max_steps", type=int, default=100)
    parser.add_argument("--output_dir", default="runs/trl_grpo")
    args = parser.parse_args()
    tasks = {task.task_id: task for task in sources.load(args.tasks)}
    prompts = [[{"role": "user", "content": task.prompt}] for task in tasks.values()]
    dataset = Dataset.from_dict({"prompt": prompts, "task_id": list(tasks)})
    tiny = make_policy(texts=[task.prompt for task in tasks.values()])
    model, tokenizer = (args.model, None) if args.model else tiny

    with Sandbox(workers=2) as sandbox:

        def pass_rate(completions, task_id, **_):
            """Share of a task's tests that the program passes; 0 where there is no program."""
            asked = [tasks[name] for name in task_id]
            texts = [messages[-1]["content"] for messages in completions]
            codes = [extract_code(x, t.entry_point) for x, t in zip(texts, asked, strict=True)]
            programs = [(t, code) for t, code in zip(asked, codes, strict=True) if code is not None]
            executions = iter(sandbox.map(programs))
            return [0.0 if code is None else next(executions).reward for code in codes]

        settings = GRPOConfig(
            output_dir=args.output_dir,
            max_steps=args.max_steps,
            max_completion_length=512 if args.model else 24,
            num_generations=8,
            per_device_train_batch_size=8,
            logging_steps=1,
            report_to=[],
            bf16=torch.cuda.is_available(),
            use_cpu=not torch.cuda.is_available(),
        )
        GRPOTrainer(model, pass_rate, settings, dataset, processing_class=tokenizer).train()


if __name__ == "__main__":
    main()
