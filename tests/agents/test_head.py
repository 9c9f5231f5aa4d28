"""The output layer's own function: values, gradients, what it keeps, and in which precision."""

import pytest
import torch
from torch import nn

from murphy_agents.update import head as module
from murphy_agents.update.head import Targets, score

STATES, HIDDEN, VOCABULARY = 7, 5, 11


def linear(bias=True, dtype=torch.float64):
    torch.manual_seed(0)
    return nn.Linear(HIDDEN, VOCABULARY, bias=bias, dtype=torch.float64).to(dtype)


def states(dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn(STATES, HIDDEN, generator=generator, dtype=torch.float64)
    return drawn.to(dtype).requires_grad_()


def targets():
    # Out of order, with a state asked thrice (twice the same), and two asked nothing.
    return Targets(torch.tensor([3, 0, 6, 3, 1, 3, 4]), torch.tensor([2, 10, 0, 5, 5, 2, 7]))


def plain(head, hidden, asked, temperature):
    logp = (head(hidden) / temperature).log_softmax(-1)
    entropy = -(logp.exp() * logp).sum(-1)
    return logp[asked.state_N, asked.id_N], entropy[asked.state_N].detach()


@pytest.fixture(params=[1 << 24, 3 * VOCABULARY, 1], ids=["one chunk", "3 a chunk", "1 a chunk"])
def chunks(request, monkeypatch):
    monkeypatch.setattr(module, "MAX_LOGITS", request.param)


class NotPlain(nn.Linear):
    """As quantised layers and layers with adapters are."""


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", [nn.Linear, NotPlain])
def test_log_probs_entropies_and_gradients_are_those_of_plain_logits(kind, bias):
    results = []
    for run in (score, plain):
        layer, hidden = linear(bias), states()
        layer.__class__ = kind
        extra = (True,) if run is score else ()
        logp, entropy = run(layer, hidden, targets(), 0.6, *extra)
        (logp * torch.linspace(-1, 2, 7, dtype=torch.float64)).sum().backward()
        results.append([logp, entropy, hidden.grad, layer.weight.grad])
        results[-1] += [layer.bias.grad] if bias else []
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-14)


@pytest.mark.usefixtures("chunks")
def test_gradients_are_those_of_small_differences():
    layer = linear()
    inputs = (states(), layer.weight, layer.bias)

    def logp(hidden, weight, bias):
        layer = nn.Linear(HIDDEN, VOCABULARY, dtype=torch.float64)
        layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
        order = torch.argsort(targets().state_N)
        asked = Targets(targets().state_N[order], targets().id_N[order])
        return module._Score.apply(hidden, weight, bias, asked, 0.7, False, True)[0]

    assert torch.autograd.gradcheck(logp, inputs)


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("frozen", ["weight", "states"])
def test_what_asks_for_no_gradient_gets_none(frozen):
    layer, hidden = linear(bias=False), states()
    (layer.weight if frozen == "weight" else hidden).requires_grad_(False)
    logp, _ = score(layer, hidden, targets(), 1.0, True)
    logp.sum().backward()
    assert (layer.weight.grad is None) == (frozen == "weight")
    assert (hidden.grad is None) == (frozen == "states")


@pytest.mark.usefixtures("chunks")
def test_without_gradients_nothing_is_kept():
    kept = []
    hooks = torch.autograd.graph.saved_tensors_hooks(kept.append, lambda tensor: tensor)
    with torch.no_grad(), hooks:
        logp, entropy = score(linear(), states(), targets(), 1.0, True)
    assert not kept
    assert not logp.requires_grad
    assert not entropy.requires_grad


def test_entropy_is_detached():
    logp, entropy = score(linear(), states(), targets(), 1.0, True)
    assert logp.requires_grad
    assert not entropy.requires_grad


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_summed_up_in_float32(autocast):
    exact_logp, _ = plain(linear(), states(), targets(), 0.6)
    layer = linear(dtype=torch.float32 if autocast else torch.bfloat16)
    hidden = states(torch.float32 if autocast else torch.bfloat16).detach().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logp, entropy = score(layer, hidden, targets(), 0.6, True)
    assert logp.dtype == entropy.dtype == torch.float32
    logp.sum().backward()
    assert layer.weight.grad.dtype == layer.weight.dtype
    # bfloat16 has 8 bits: logits of size 2 are off by up to 2**-7 or so, a few of them together.
    assert 1e-4 < (logp - exact_logp).abs().max() < 0.05


def test_autocast_multiplies_in_half_precision_and_no_more():
    layer, hidden = linear(bias=False, dtype=torch.float32), states(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        logp, _ = score(layer, hidden, targets(), 1.0, False)
        expected = layer(hidden).float().log_softmax(-1)[targets().state_N, targets().id_N]
    assert logp.equal(expected)


def test_far_off_logits_stay_finite():
    layer = linear()
    with torch.no_grad():
        layer.weight.mul_(1e4)
    logp, entropy = score(layer, states(), targets(), 0.1, True)
    logp.sum().backward()
    assert torch.isfinite(logp).all()
    assert torch.isfinite(entropy).all()
    assert torch.isfinite(layer.weight.grad).all()


def test_the_sum_over_chunks_is_not_rounded_chunk_by_chunk(monkeypatch):
    # 512 states, a chunk each: rounded to bfloat16 every time, the sum would lose some per mille.
    generator = torch.Generator().manual_seed(3)
    hidden = torch.rand(512, HIDDEN, generator=generator) + 0.5
    asked = Targets(torch.arange(512), torch.full((512,), 3))

    def gradient(most, autocast):
        monkeypatch.setattr(module, "MAX_LOGITS", most)
        layer = linear(bias=False, dtype=torch.float32)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logp, _ = score(layer, hidden, asked, 1.0, False)
        logp.sum().backward()
        return layer.weight.grad

    exact, one, many = gradient(1 << 24, False), gradient(1 << 24, True), gradient(1, True)
    assert (one - exact).norm() / exact.norm() > 1e-5  # products are in half precision
    assert (many - one).norm() / exact.norm() < 1e-6  # their sum is not
