"""What liger-kernel's fused losses give, held against what an update needs; see page 0512.

Needs liger-kernel and triton; without a GPU, set TRITON_INTERPRET=1.
"""

import os

import pytest
import torch

from murphy_agents.update import murphy_loss

pytest.importorskip("liger_kernel")
pytest.importorskip("triton")
if not (torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1"):
    pytest.skip("kernels need a GPU, or TRITON_INTERPRET=1", allow_module_level=True)

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SEQUENCES, LENGTH, HIDDEN, VOCABULARY, TEMPERATURE = 6, 9, 16, 61, 0.6
LENGTHS = torch.tensor([9, 7, 5, 9, 3, 6], device=DEVICE)


def drawn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


HIDDEN_BTH = drawn(SEQUENCES, LENGTH, HIDDEN, seed=1)
WEIGHT_VH = 0.5 * drawn(VOCABULARY, HIDDEN, seed=2)
IDS_BT = drawn(SEQUENCES, LENGTH, seed=3).mul(1000).long() % VOCABULARY
ADVANTAGE_B = drawn(SEQUENCES, seed=4)
MASK_BT = (torch.arange(LENGTH, device=DEVICE) < LENGTHS[:, None]).float()


def plain(hidden_BTH, weight_VH):
    logits_BTV = hidden_BTH @ weight_VH.T / TEMPERATURE
    return logits_BTV.log_softmax(-1).gather(-1, IDS_BT[..., None])[..., 0]


START_BT = plain(HIDDEN_BTH, WEIGHT_VH)
OLD_BT = START_BT + 0.2 * drawn(SEQUENCES, LENGTH, seed=5)
REF_BT = START_BT + 0.2 * drawn(SEQUENCES, LENGTH, seed=6)


def gradients(loss_of):
    """Loss and its gradients by states and by the weights of the output layer."""
    hidden_BTH = HIDDEN_BTH.clone().requires_grad_()
    weight_VH = WEIGHT_VH.clone().requires_grad_()
    loss = loss_of(hidden_BTH, weight_VH)
    loss.backward()
    return loss.detach(), hidden_BTH.grad, weight_VH.grad


def ours(logprobs, weight_B, beta):
    """Gradients of our loss on the log-probs that a function gives."""
    kept = MASK_BT.bool()

    def loss_of(hidden_BTH, weight_VH):
        def flat(values_B):
            return values_B[:, None].expand_as(MASK_BT)[kept]

        return murphy_loss(
            logprobs(hidden_BTH, weight_VH)[kept], OLD_BT[kept], REF_BT[kept], flat(ADVANTAGE_B),
            flat(weight_B), 0.2, beta,
        )[0]  # fmt: skip

    return gradients(loss_of)


def ligers_grpo(advantage_B, beta, loss_type="grpo"):
    from liger_kernel.chunked_loss import LigerFusedLinearGRPOLoss

    fused = LigerFusedLinearGRPOLoss(
        beta=beta, compiled=False, use_ref_model=beta > 0, loss_type=loss_type,
        max_completion_length=LENGTH, temperature=TEMPERATURE,
    )  # fmt: skip
    references = {"ref_per_token_logps": REF_BT} if beta > 0 else {}
    return gradients(
        lambda hidden_BTH, weight_VH: fused(
            hidden_BTH, weight_VH, IDS_BT, MASK_BT, advantage_B, old_per_token_logps=OLD_BT,
            **references,
        )[0]
    )  # fmt: skip


def apart(one, other):
    return max(float((x - y).norm() / y.norm()) for x, y in zip(one, other, strict=True))


GROUPS_OF_3_B = torch.full((SEQUENCES,), 1 / 6, device=DEVICE) / LENGTHS
"""Def. 1 of two problems with a group of three each: 1 / (2 * 3 * |o|)."""
UNEVEN_B = torch.tensor([1 / 4] * 4 + [1 / 2] * 2, device=DEVICE) / LENGTHS
"""Def. 1 of one problem with a group of four and one of two."""


def cross_entropy(hidden_BTH, weight_VH):
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

    fused = LigerFusedLinearCrossEntropyLoss(reduction="none")
    states_NH = hidden_BTH.reshape(-1, HIDDEN) / TEMPERATURE
    return -fused(weight_VH, states_NH, IDS_BT.reshape(-1)).view_as(IDS_BT)


def scaled_cross_entropy(hidden_BTH, weight_VH):
    from liger_kernel.ops import LigerFusedLinearScaledCrossEntropyFunction as Fused

    states_NH = hidden_BTH.reshape(-1, HIDDEN)
    return -Fused.apply(states_NH, weight_VH, IDS_BT.reshape(-1), TEMPERATURE).view_as(IDS_BT)


def selected_logprobs(hidden_BTH, weight_VH):
    from liger_kernel.chunked_loss.fused_linear_ppo import LigerFusedLinearPPOBase

    return LigerFusedLinearPPOBase.chunk_forward(
        hidden_BTH, weight_VH, IDS_BT, temperature=TEMPERATURE
    )


@pytest.mark.parametrize("fused", [cross_entropy, scaled_cross_entropy, selected_logprobs])
@pytest.mark.parametrize("weight_B", [GROUPS_OF_3_B, UNEVEN_B])
def test_its_log_probs_take_any_gradient(fused, weight_B):
    if fused is scaled_cross_entropy and DEVICE == "cuda":
        pytest.skip("on CUDA this is a kernel for bfloat16 alone, and the test is in float32")
    assert apart(ours(fused, weight_B, 0.04), ours(plain, weight_B, 0.04)) < 2e-6


def test_its_grpo_loss_is_ours_for_groups_of_one_size():
    fused = ligers_grpo(ADVANTAGE_B, beta=0.04)
    assert apart(fused, ours(plain, GROUPS_OF_3_B, 0.04)) < 2e-6


def test_its_grpo_loss_is_not_ours_for_uneven_groups():
    fused = ligers_grpo(ADVANTAGE_B, beta=0.04)
    assert apart(fused, ours(plain, UNEVEN_B, 0.04)) > 1e-3


def test_without_kl_weights_may_hide_in_its_advantages():
    # "dr_grpo" divides by SEQUENCES * LENGTH; min(R wA, clip(R) wA) = w min(R A, clip(R) A), w > 0.
    hidden_B = ADVANTAGE_B * UNEVEN_B * SEQUENCES * LENGTH
    assert apart(ligers_grpo(hidden_B, 0.0, "dr_grpo"), ours(plain, UNEVEN_B, 0.0)) < 2e-6
    # The KL term has no weight but beta, one for all.
    assert apart(ligers_grpo(hidden_B, 0.04, "dr_grpo"), ours(plain, UNEVEN_B, 0.04)) > 1e-3
