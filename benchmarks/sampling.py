"""What does a tree's generation cost? Our transformers engine against `transformers.generate`.

Eight problems (two with --quick), eight first attempts each; every attempt then becomes a longer
prompt with eight refinements. Random weights, end tokens drawn as they come, log-probs from both.
"""

import torch

from benchmarks import report
from murphy_agents.codec import ChatCodec
from murphy_agents.engines.protocol import Request, SamplingParams
from murphy_agents.engines.transformers import TransformersEngine
from murphy_agents.tiny import make_policy

PROMPT, CHILD_PROMPT, NEW_TOKENS, SAMPLES = 120, 244, 64, 8


def prompts(count, length, vocab_size):
    """Random ids, the same at every call."""
    generator = torch.Generator().manual_seed(length)
    return torch.randint(3, vocab_size, (count, length), generator=generator)


def main():
    """Measure, print, write."""
    options = report.arguments(__doc__)
    torch.set_num_threads(1)
    problems, rounds = (2, 5) if options.quick else (8, 5)
    model, tokenizer = make_policy(texts=["def f(x):\n    return x + 1\n"], hidden_size=128)
    model.eval()
    engine = TransformersEngine(model, ChatCodec(tokenizer))
    turns = [
        prompts(problems, PROMPT, len(tokenizer)),
        prompts(problems * SAMPLES, CHILD_PROMPT, len(tokenizer)),
    ]

    def ours():
        for turn in turns:
            for tag, ids in enumerate(turn.tolist()):
                seeds = tuple(range(SAMPLES))
                engine.submit(Request(tuple(ids), seeds, SamplingParams(NEW_TOKENS), tag))
            while engine.poll():
                pass

    def generate():
        for turn in turns:
            # The largest batch that the engine holds as well.
            for part in turn.split(512 // SAMPLES):
                model.generate(
                    part,
                    attention_mask=torch.ones_like(part),
                    do_sample=True,
                    top_k=0,
                    max_new_tokens=NEW_TOKENS,
                    num_return_sequences=SAMPLES,
                    return_dict_in_generate=True,
                    output_logits=True,
                )

    taken = report.alternate({"engine": ours, "generate": generate}, rounds)
    found = report.ratios(taken, "engine", "generate", {"cpu": 1.5})
    settings = {"problems": problems, "rounds": rounds, "samples": SAMPLES, "threads": 1}
    report.publish(settings, found, options.json)


if __name__ == "__main__":
    main()
