"""A subspace, and our LoRA beside PEFT's, in the trainers of TRL: two updates each."""

import pytest
import torch

import intrinsic
from intrinsic.training.drawn_answers import grpo_loss
from intrinsic.training.grpo import GRPO
from tests.support.tiny_pairs import make_letters, make_pairs_folder

pytestmark = pytest.mark.slow

transformers = pytest.importorskip("transformers")
pytest.importorskip("trl")

ROWS = [{"prompt": f"{a}+{b}=", "completion": str(a + b)} for a in range(4) for b in range(4)]
SUBSPACE = {"projection": intrinsic.Fastfood, "dim": 50}
LORA = {"space": intrinsic.LoRA(rank=2, targets=["q_proj", "v_proj"])}
COMMON = {
    "max_steps": 2, "use_cpu": True, "report_to": [], "save_strategy": "no", "logging_steps": 1, "learning_rate": 0.05,
    "disable_tqdm": True, "per_device_train_batch_size": 8, "lr_scheduler_type": "constant", "bf16": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_pairs_folder(tmp_path_factory.mktemp("llama"), initializer_range=0.3)


def base(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder)


def net_of(folder, options):
    return intrinsic.Subspace(base(folder), **options, seed=0)


def of_peft(folder, tmp_path):
    """PEFT's LoRA with the initial numbers of ours."""
    from peft import PeftModel

    intrinsic.export_peft(net_of(folder, LORA), tmp_path / "peft")
    return PeftModel.from_pretrained(base(folder), tmp_path / "peft", is_trainable=True)


def supervised(net, tmp_path, **options):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    arguments = SFTConfig(str(tmp_path), **{**COMMON, **options})
    trainer = SFTTrainer(
        net, arguments, train_dataset=Dataset.from_list(ROWS), processing_class=make_letters(template="")
    )
    trainer.train()
    return trainer


def digits(completions, **_):
    return [float(sum(letter.isdigit() for letter in text)) for text in completions]


def rewarded(net, tmp_path, reward=digits, **options):
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    own = {"num_generations": 4, "max_completion_length": 4, "gradient_checkpointing": False}
    arguments = GRPOConfig(str(tmp_path), **{**COMMON, **own, **options})
    data = Dataset.from_list(ROWS)
    trainer = GRPOTrainer(
        net, reward_funcs=reward, args=arguments, train_dataset=data, processing_class=make_letters(template="")
    )
    trainer.train()
    return trainer


TRAINERS = {"supervised": supervised, "rewarded": rewarded}
every_trainer = pytest.mark.parametrize("name", TRAINERS)


def logged(trainer, key):
    return [row[key] for row in trainer.state.log_history if key in row]


@every_trainer
@pytest.mark.parametrize("half", [False, True], ids=["float32", "autocast"])
@pytest.mark.parametrize("options", [SUBSPACE, LORA], ids=["subspace", "lora"])
def test_what_is_trained_moves_and_nothing_else(name, options, half, folder, tmp_path):
    net = net_of(folder, options)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    trainer = TRAINERS[name](net, tmp_path, bf16=half)
    trained = {key for key, _ in net.named_parameters()}
    moved = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == trained
    assert len(logged(trainer, "loss")) == 2
    assert all(0 < norm < 100 for norm in logged(trainer, "grad_norm"))
    plain, ids = net.merge(), torch.arange(12).view(2, 6)
    found = net(input_ids=ids).logits
    # TRL's autocast of forward stays in it: eight bits of a product
    torch.testing.assert_close(found.float(), plain(input_ids=ids).logits, atol=0.05 if half else 1e-5, rtol=1e-5)


@every_trainer
def test_our_lora_and_that_of_peft_have_the_same_losses(name, folder, tmp_path):
    ours = TRAINERS[name](net_of(folder, LORA), tmp_path / "ours")
    theirs = TRAINERS[name](of_peft(folder, tmp_path), tmp_path / "theirs")
    for key in ("loss", "grad_norm", "entropy", *(["reward"] if name == "rewarded" else ["mean_token_accuracy"])):
        found, expected = logged(ours, key), logged(theirs, key)
        assert len(found) == 2
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5), key  # rounding of float32, after one step of Adam
    weights = {key.split(".default")[0]: value for key, value in theirs.model.named_parameters() if value.requires_grad}
    assert len(weights) == len(list(ours.model.parameters()))
    for (key, one), (_, other) in zip(ours.model.named_parameters(), weights.items(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3, msg=key)


def test_a_subspace_has_the_losses_of_differentiable_steps(folder, tmp_path, monkeypatch):
    """TRL's two batches again, in a loop of our own: the mean over the tokens of completions, Adam without decay."""
    from trl import SFTTrainer

    net, seen, usual = net_of(folder, SUBSPACE), [], SFTTrainer.compute_loss

    def compute_loss(self, model, inputs, **given):
        seen.append({key: value.clone() for key, value in inputs.items()})
        return usual(self, model, inputs, **given)

    monkeypatch.setattr(SFTTrainer, "compute_loss", compute_loss)
    trainer = supervised(net, tmp_path, max_grad_norm=0.0)
    other = net_of(folder, SUBSPACE)
    optimizer = torch.optim.AdamW(other.parameters(), lr=0.05, weight_decay=0.0)
    losses = []
    for batch in seen:
        labels = batch.pop("labels")
        logits = other(**batch).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert logged(trainer, "loss") == pytest.approx(losses, rel=1e-5)
    torch.testing.assert_close(
        net.z, other.z, atol=1e-4, rtol=1e-3
    )  # steps of 0.05, of gradients that differ by rounding


@pytest.mark.parametrize("options", [SUBSPACE, LORA], ids=["subspace", "lora"])
def test_the_divergence_is_from_the_folder(options, folder, tmp_path):
    """Which is theta_0: none at the first update, some at the second."""
    trainer = rewarded(net_of(folder, options), tmp_path, beta=0.1)
    first, second = logged(trainer, "kl")
    assert abs(first) < 1e-6 < second


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_trl_has_the_loss_of_our_own_loop(beta, folder, tmp_path, monkeypatch):
    """Of the same answers: the advantages of their rewards, the mean over tokens, and the divergence."""
    from trl import GRPOTrainer

    seen, rewards, usual = [], [], GRPOTrainer.compute_loss
    made = GRPO([torch.zeros(1, requires_grad=True)], group=4)

    def compute_loss(self, model, inputs, **given):
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
        used = inputs["completion_mask"].bool()
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=torch.cat([inputs["prompt_mask"], used.long()], 1)).logits
            shares = logits.log_softmax(-1)[:, -used.shape[1] - 1 : -1].gather(2, inputs["completion_ids"][..., None])
        first = inputs["ref_per_token_logps"] if beta else None
        size = inputs["advantages"][:, None]
        ours = grpo_loss(shares[..., 0], shares[..., 0], first, size, used, clip=0.2, kl=beta)
        expected = made.advantages(torch.tensor(rewards[-1]).view(-1, 4)).flatten()
        torch.testing.assert_close(size[:, 0].sort().values, expected.sort().values)  # TRL shuffles a batch
        seen.append((ours.item(), usual(self, model, inputs, **given)))
        return seen[-1][1]

    def noted(completions, **_):
        rewards.append(digits(completions))
        return rewards[-1]

    monkeypatch.setattr(GRPOTrainer, "compute_loss", compute_loss)
    rewarded(net_of(folder, SUBSPACE), tmp_path, noted, beta=beta)
    assert len(seen) == 2
    for ours, theirs in seen:
        assert ours == pytest.approx(theirs.item(), rel=1e-4, abs=1e-6)
    assert abs(seen[1][0]) > 1e-3


def test_answers_are_generated_by_the_trained_weights(folder, tmp_path, monkeypatch):
    """After an update: greedy ones are those of the merged model."""
    net = net_of(folder, SUBSPACE)
    rewarded(net, tmp_path, learning_rate=1.0)
    ids = torch.tensor([[2, 5, 14, 6, 16]])
    options = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0, "eos_token_id": 3}
    assert torch.equal(net.eval().generate(input_ids=ids, **options), net.merge().generate(input_ids=ids, **options))
    assert not torch.equal(net.merge().lm_head.weight, base(folder).lm_head.weight)
