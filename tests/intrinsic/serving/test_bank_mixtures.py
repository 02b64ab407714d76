"""Batches whose rows belong to several tasks."""

import pytest
import torch
from torch import nn

import intrinsic
from tests.support.bank_tasks import TOKENS, Net, logits
from tests.support.filled_bank import filled

MIXTURES = [
    ("lora", "wide"),
    ("lora", None, "wide", "unilora"),
    ("lora", "all", "projected", "head"),
    ("subspace", "lora", "bitfit", "unilora"),
    ("subspace", "said", "full"),
]


@pytest.mark.parametrize("names", MIXTURES, ids=str)
@pytest.mark.parametrize("active", [None, 0])
def test_a_mixed_batch_gives_what_one_task_at_a_time_gives(names, active):
    bank, _ = filled(*[name for name in names if name])
    bank = bank.double()
    tasks = [names[row % len(names)] for row in (2, 0, 1, 3, 0, 5)]
    mask = (torch.arange(42).view(6, 7) % 3 > 0).double()
    expected = torch.stack([logits(bank.use(t), TOKENS, mask=mask)[row] for row, t in enumerate(tasks)])
    bank.use(active if active is None else names[active])
    found = logits(bank, TOKENS, mask=mask, tasks=tasks)
    # a batched product adds up in another order
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)
    again = logits(bank, TOKENS.flip(0), mask=mask.flip(0), tasks=tasks[::-1])
    torch.testing.assert_close(again.flip(0), expected, atol=1e-12, rtol=1e-12)


def test_low_rank_tasks_share_one_pass():
    bank, _ = filled("lora", "wide", "unilora")
    calls = []
    bank.model.convolution.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        bank(TOKENS, tasks=["lora", "wide", "unilora", "wide", "lora", None])
    assert len(calls) == 1


class Turned(Net):
    """Positions come before rows within the model."""

    def forward(self, tokens):
        hidden = self.second(self.first(self.embedding(tokens).transpose(0, 1)).tanh())
        return {"logits": self.head(hidden.mean(0))}


class Flattened(Net):
    def forward(self, tokens):
        hidden = self.second(self.first(self.embedding(tokens).flatten(0, 1)).tanh())
        return {"logits": self.head(hidden.view(*tokens.shape, -1).mean(1))}


class Attentive(Net):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2)  # (positions, rows, features)

    def forward(self, tokens):
        hidden = self.embedding(tokens).transpose(0, 1)
        return {"logits": self.head(self.attention(hidden, hidden, hidden)[0].mean(0))}


@pytest.mark.parametrize("make", [Turned, Flattened, Attentive])
@pytest.mark.parametrize("positions", [5, 6, 7])
def test_rows_may_lie_elsewhere_within_a_model(make, positions):
    """Also where there are as many positions as rows, so that shapes do not tell."""
    bank = intrinsic.Bank(make()).double()
    targets = ["attention.in_proj"] if make is Attentive else ["first", "second"]
    for seed, name in enumerate(("one", "two")):
        net = intrinsic.Subspace(make().double(), space=intrinsic.LoRA(2, targets=targets), seed=seed)
        for parameter in net.parameters():
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
        bank.add(name, net)
    tokens, tasks = torch.arange(6 * positions).view(6, -1) % 9, ["one", "two", None, "two", "one", "one"]
    expected = torch.stack([logits(bank.use(task), tokens)[row] for row, task in enumerate(tasks)])
    found = logits(bank.use(None), tokens, tasks=tasks)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)  # other orders of sums


def bert():
    from transformers import BertConfig, BertForSequenceClassification

    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(**size, vocab_size=30, num_labels=3))


def llama():
    from transformers import LlamaConfig, LlamaForSequenceClassification

    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}
    torch.manual_seed(0)
    config = LlamaConfig(**size, num_key_value_heads=2, vocab_size=30, num_labels=3, pad_token_id=0, use_cache=False)
    return LlamaForSequenceClassification(config)


@pytest.mark.parametrize("make", [bert, llama])
def test_transformers_mix_tasks(make):
    bank = intrinsic.Bank(make())
    for seed, name in enumerate(("lora", "wide", "subspace")):
        space = None if name == "subspace" else intrinsic.LoRA(2 + seed)
        options = {"projection": intrinsic.OneHot, "dim": 20} if name == "subspace" else {"head": "train"}
        net = intrinsic.Subspace(make(), space=space, seed=seed, **options)
        for parameter in net.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
        bank.add(name, net)
    tokens, mask = 1 + torch.arange(40).view(5, 8) % 29, torch.ones(5, 8, dtype=torch.int64)
    mask[3, 5:] = 0
    tasks = ["lora", None, "subspace", "wide", "lora"]
    inputs = {"input_ids": tokens, "attention_mask": mask}
    expected = [logits(bank.use(task), **inputs)[row] for row, task in enumerate(tasks)]
    # float32, and batches of other sizes
    torch.testing.assert_close(logits(bank, **inputs, tasks=tasks), torch.stack(expected), atol=1e-5, rtol=1e-4)
    with pytest.raises(intrinsic.UserError, match="no row for each input"):
        bank(**inputs, labels=torch.zeros(5, dtype=torch.int64), tasks=tasks)


class Reporting(Net):
    """A number of the whole batch beside the logits, and one of the model's own."""

    def forward(self, tokens, report):
        found = super().forward(tokens)
        return {**found, "largest": found["logits"].max().item() if report else 7.5}


def test_a_number_of_the_whole_batch_is_not_that_of_one_task():
    model = Reporting()
    bank = intrinsic.Bank(model)
    for seed, name in enumerate(("first", "second")):
        net = intrinsic.Subspace(model, projection=intrinsic.OneHot, dim=3, seed=seed)
        torch.nn.init.ones_(net.z)
        bank.add(name, net)
    tasks = ["first", "second"] * 3
    assert bank(TOKENS, report=False, tasks=tasks)["largest"] == 7.5
    with pytest.raises(intrinsic.UserError, match=r"an output is no tensor, and differs: first .*, second .*"):
        bank(TOKENS, report=True, tasks=tasks)
