"""LoRA on the fused experts of a mixture: the formula, and PEFT's `target_parameters`."""

import pytest
import torch
from peft import PeftModel

import intrinsic
from intrinsic.layers.low_rank.experts import LowRankExperts
from tests.support.peft_models import stir
from tests.support.zoo import answer, member

TARGETS = ["q_proj", "experts.gate_up_proj", "experts.down_proj"]


@torch.no_grad()
def said(model, family):
    return answer(model.eval(), family)


@pytest.mark.parametrize("family", ["mixtral", "qwen2_moe"])
def test_experts_follow_the_formula_and_peft(family, tmp_path):
    net = intrinsic.Subspace(member(family), space=intrinsic.LoRA(2, alpha=6.0, targets=TARGETS))
    start = said(net, family)
    torch.testing.assert_close(start, said(member(family), family), atol=0, rtol=0)
    stir(net.parameters())
    plain = member(family)
    for layer in range(2):
        found = net.model.get_submodule(f"model.layers.{layer}.mlp.experts")
        assert isinstance(found, LowRankExperts)
        own = plain.get_submodule(f"model.layers.{layer}.mlp.experts")
        for wrapper in (found, found.base):
            W = own.get_parameter(wrapper.parameter).data
            for e in range(len(W)):
                W[e] += 3.0 * wrapper.lora_B[e].detach() @ wrapper.lora_A[e].detach()
        q = plain.get_submodule(f"model.layers.{layer}.self_attn.q_proj")
        lora = net.model.get_submodule(f"model.layers.{layer}.self_attn.q_proj")
        q.weight.data += 3.0 * (lora.lora_B @ lora.lora_A).detach()
    expected = said(plain, family)
    assert (expected - start).abs().max() > 1e-2
    close = {"atol": 1e-4, "rtol": 1e-4}  # float32, sums in another order
    torch.testing.assert_close(said(net, family), expected, **close)
    torch.testing.assert_close(said(net.merge(), family), expected, **close)
    intrinsic.export_peft(net, tmp_path / "peft")
    theirs = PeftModel.from_pretrained(member(family), tmp_path / "peft")
    torch.testing.assert_close(said(theirs, family), expected, **close)


def test_what_experts_cannot_have(tmp_path):
    with pytest.raises(intrinsic.UserError, match="experts: dropout needs layers with inputs to drop"):
        intrinsic.LoRA(2, targets=TARGETS, dropout=0.1).wire(member("mixtral"), seed=0)
    with pytest.raises(intrinsic.UserError, match="experts: need rank <= 16"):
        intrinsic.LoRA(17, targets=[TARGETS[1]]).wire(member("mixtral"), seed=0)
    space = intrinsic.LoRA(2, targets=TARGETS, rank_pattern={"down_proj": 1})
    net = intrinsic.Subspace(member("mixtral"), space=space)
    with pytest.raises(intrinsic.UserError, match="PEFT has one rank and alpha for all experts"):
        intrinsic.export_peft(net, tmp_path / "peft")
