"""Pretrained models of transformers: what they read, how they start, batches of texts, and their runs."""

import json

import pytest
import torch
from commands import output, program, refused, surroundings  # noqa: F401  (fixtures)
from conftest import composed
from safetensors.torch import load_file
from tiny import ARCHITECTURES, make_folder, make_tokenizer, write_sst2

import intrinsic
from experiments.task import make_task
from intrinsic.course import evaluate
from intrinsic.data.batches import batches, bucketed
from intrinsic.data.task import Split, Task
from intrinsic.data.tokens import tokenized
from intrinsic.errors import UserError
from intrinsic.fit_replicas import fit_replicas
from intrinsic.models.hf import hf
from intrinsic.models.hf_tokenizer import HFTokenizer
from intrinsic.training import fit

pytest.importorskip("transformers")
PLAIN = {"source": "hub", "classifier": "new", "precision": "float32"}
TEXTS = [("a good film",), ("bad",), ("not a very good story",), ("the film was very dull",)]
every_architecture = pytest.mark.parametrize("kind", ARCHITECTURES)


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("models")
    return {kind: make_folder(home / kind, kind) for kind in ARCHITECTURES}


def build(folder, num_outputs=2, seed=0, **changes):
    torch.manual_seed(seed)
    return hf((2, 8), num_outputs, name=str(folder), **{**PLAIN, **changes})


def text_task(folder, tmp_path, texts=TEXTS, **changes):
    """A task of texts, all of them in each split, encoded."""
    split = Split(torch.arange(len(texts)), torch.arange(len(texts)) % 2)
    task = Task(
        split,
        split,
        split,
        2,
        loss=torch.nn.functional.cross_entropy,
        score=lambda outputs, targets: (outputs.argmax(1) == targets).float(),
        texts=texts,
    )
    return tokenized(task, HFTokenizer(name=str(folder), **{"max_length": 16, **changes}), tmp_path)


def many(count=90):
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(1, 12, (count,), generator=generator).tolist()
    return [(" ".join(["good", "bad", "film"][i % 3] for i in range(n)),) for n in lengths]


# Models


@every_architecture
def test_it_gives_the_logits_of_transformers(kind, folders, tmp_path):
    """Text by text, unpadded, through transformers' own tokenizer and model."""
    model, task = build(folders[kind]).eval(), text_task(folders[kind], tmp_path)
    with torch.no_grad():
        together = model(task.train.inputs)
        for row, text in enumerate(TEXTS):
            cut = make_tokenizer()(*text, return_tensors="pt", return_token_type_ids=False)
            alone = model(**cut).logits
            # a text is padded beside longer ones: other sums of the same numbers
            torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


@every_architecture
def test_padding_is_not_read(kind, folders, tmp_path):
    model, task = build(folders[kind]).eval(), text_task(folders[kind], tmp_path)
    wider = torch.nn.functional.pad(task.train.inputs, (0, 3), value=-1)
    with torch.no_grad():
        torch.testing.assert_close(model(wider), model(task.train.inputs), atol=1e-5, rtol=1e-5)


def test_the_second_text_is_told_from_the_first(folders, tmp_path):
    task = text_task(folders["bert"], tmp_path, [("good film", "bad film"), ("good", "not bad")])
    assert task.train.inputs[0, 1].tolist() == [0, 0, 0, 0, 1, 1, 1]
    model = build(folders["bert"]).eval()
    changed = task.train.inputs.clone()
    changed[0, 1] = 0
    with torch.no_grad():
        assert not torch.allclose(model(changed)[0], model(task.train.inputs)[0])


def test_where_it_starts(folders):
    """Pretrained: the folder's weights and a head of the seed; random: all of the seed."""
    stored = load_file(folders["bert"] / "model.safetensors")
    first, again, other = (dict(build(folders["bert"], seed=seed).named_parameters()) for seed in (0, 0, 1))
    random = dict(build(folders["bert"], source=None, seed=5).named_parameters())
    assert stored.keys() == first.keys() == random.keys()
    for name, parameter in first.items():
        assert torch.equal(parameter, again[name])
        assert torch.equal(parameter, stored[name]) == (name != "classifier.weight"), name  # biases are zero in both
        assert torch.equal(parameter, other[name]) == (name != "classifier.weight"), name
    assert not torch.equal(
        random["bert.embeddings.word_embeddings.weight"], stored["bert.embeddings.word_embeddings.weight"]
    )
    assert build(folders["bert"], num_outputs=3).classifier.weight.shape == (3, 16)
    kept = build(folders["bert"], classifier="folder")
    assert torch.equal(kept.classifier.weight, stored["classifier.weight"])


def test_an_encoder_without_a_head_gets_one(folders, tmp_path):
    from transformers import AutoModel

    AutoModel.from_pretrained(folders["bert"]).save_pretrained(tmp_path)
    model = build(tmp_path)
    expected = load_file(folders["bert"] / "model.safetensors")
    for name, parameter in model.bert.named_parameters():
        assert torch.equal(parameter, expected[f"bert.{name}"])
    with pytest.raises(UserError, match=r"has no head of its own: take model.classifier=new"):
        build(tmp_path, classifier="folder")


def test_half_precision_is_close_and_returns_single(folders, tmp_path):
    task = text_task(folders["bert"], tmp_path)
    half, single = (build(folders["bert"], precision=p).eval() for p in ("bfloat16", "auto"))
    with torch.no_grad():
        outputs, expected = half(task.train.inputs), single(task.train.inputs)
    assert outputs.dtype == torch.float32
    assert not torch.equal(outputs, expected)  # auto on a CPU is float32
    torch.testing.assert_close(outputs, expected, atol=0.02, rtol=0)  # 8 bits of products near 1, twice a layer


@every_architecture
@pytest.mark.parametrize("method", ["full", "head", "lora", "subspace", "said"])
def test_methods_take_a_step(kind, method, folders, tmp_path):
    from experiments.train import make_net

    if (kind, method) == ("gpt2", "lora"):
        pytest.skip("its layers are transformers' Conv1D")
    dim = ["dim=60"] if method in ("subspace", "said") else []
    config = composed(f"method={method}", "model=hf", f"model.name={folders[kind]}", "dataset=sst2", *dim)
    task = text_task(folders[kind], tmp_path)
    net = make_net(config, task, torch.device("cpu"))
    before = [parameter.detach().clone() for parameter in net.parameters()]
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    (epoch,) = fit(net, task, optimizer, epochs=1, batch_size=2, seed=0)
    assert not epoch.diverged
    assert any(not torch.equal(*pair) for pair in zip(before, net.parameters(), strict=True))


# Texts to tokens


def test_tokens_are_those_of_the_tokenizer(folders, tmp_path):
    task = text_task(folders["bert"], tmp_path)
    expected = make_tokenizer()([text for (text,) in TEXTS])["input_ids"]
    assert task.train.lengths.tolist() == [len(row) for row in expected]
    for row, ids in zip(task.train.inputs, expected, strict=True):
        assert row[0].tolist() == ids + [-1] * (task.input_shape[1] - len(ids))
    assert text_task(folders["bert"], tmp_path, max_length=4).train.lengths.tolist() == [4, 3, 4, 4]


def test_texts_are_cut_once(folders, tmp_path, monkeypatch):
    calls = []
    usual = HFTokenizer.__call__
    monkeypatch.setattr(HFTokenizer, "__call__", lambda self, texts: calls.append(0) or usual(self, texts))
    first = text_task(folders["bert"], tmp_path)
    again = text_task(folders["bert"], tmp_path)
    assert len(calls) == 1
    assert torch.equal(first.train.inputs, again.train.inputs)
    text_task(folders["bert"], tmp_path, max_length=4)
    text_task(folders["bert"], tmp_path, TEXTS[:3])
    assert len(calls) == 3
    for path in (tmp_path / "tokens").iterdir():  # harmed: made again
        path.write_bytes(path.read_bytes()[:-5])
    assert torch.equal(text_task(folders["bert"], tmp_path).train.inputs, first.train.inputs)
    assert torch.equal(text_task(folders["bert"], tmp_path).train.inputs, first.train.inputs)
    assert len(calls) == 4


# Batches


def test_batches_hold_similar_lengths():
    lengths = torch.randint(1, 60, (1003,), generator=torch.Generator().manual_seed(0))
    order = torch.randperm(1003, generator=torch.Generator().manual_seed(1))
    drawn = bucketed(order, lengths, 8, seed=2)
    assert torch.equal(drawn.sort().values, torch.arange(1003))
    assert torch.equal(drawn, bucketed(order, lengths, 8, seed=2))
    assert not torch.equal(drawn, bucketed(order, lengths, 8, seed=3))
    padded, plain = (sum(int(lengths[b].max()) * len(b) for b in o.split(8)) for o in (drawn, order))
    assert padded < 1.05 * int(lengths.sum()) < plain / 1.5
    whole = [int(lengths[b].max()) for b in drawn.split(8)]
    assert whole != sorted(whole)  # long and short ones in turn


def test_batches_are_trimmed_to_their_longest(folders, tmp_path):
    split = text_task(folders["bert"], tmp_path, many()).train
    order = split.lengths.argsort()
    for (inputs, targets), rows in zip(batches(split, order, 7), order.split(7), strict=True):
        assert inputs.shape == (len(rows), 2, split.lengths[rows].max())
        assert torch.equal(targets, split.targets[rows])
        assert int((inputs[:, 0] >= 0).sum()) == int(split.lengths[rows].sum())


def test_evaluation_is_that_of_one_batch(folders, tmp_path):
    task = text_task(folders["bert"], tmp_path, many())
    net = intrinsic.Subspace(build(folders["bert"]))
    found = evaluate(net, task, task.test)
    net.eval()
    with torch.no_grad():
        outputs = net(task.test.inputs)
    expected = {
        "loss": task.loss(outputs, task.test.targets).item(),
        "accuracy": task.score(outputs, task.test.targets).mean().item(),
    }
    assert found == pytest.approx(expected, rel=1e-5)


def test_metrics_see_the_whole_split_in_step(folders, tmp_path):
    from dataclasses import replace

    task = text_task(folders["bert"], tmp_path, many())
    both = replace(task, score=None, metrics=lambda o, t: {"accuracy": (o.argmax(1) == t).float().mean().item()})
    net = intrinsic.Subspace(build(folders["bert"]))
    assert evaluate(net, both, both.test) == pytest.approx(evaluate(net, task, task.test))
    with pytest.raises(UserError, match="judged by score or by metrics, got neither"):
        replace(task, score=None)


def test_replicas_of_texts_are_refused(folders, tmp_path):
    task = text_task(folders["bert"], tmp_path)
    nets = [intrinsic.Subspace(build(folders["bert"], seed=seed)) for seed in (0, 1)]
    with pytest.raises(UserError, match=r"need inputs of one length, .*: take replicas=1"):
        fit_replicas(nets, task, torch.optim.Adam, lrs=[0.1, 0.1], seeds=[0, 1], epochs=1, batch_size=2)


# Runs


@pytest.fixture
def data(tmp_path):
    return write_sst2(tmp_path / "data")


def test_a_model_brings_its_own_recipe():
    config = composed("model=minilm", "dataset=sst2")
    assert config["init"] == {"source": "hub"}
    assert config["model"]["source"] == "hub"
    assert config["head"] == "train"
    assert config["optim"]["_target_"].endswith("AdamW")
    assert config["schedule"]["_target_"].endswith("LinearWarmup")
    assert composed("model=minilm", "dataset=sst2", "init=random")["model"]["source"] is None
    changed = composed(
        "model=minilm", "dataset=sst2", "optim=sgd", "schedule=constant", "epochs=7", "lr=0.5", "head=freeze"
    )
    assert changed["optim"]["_target_"].endswith("SGD")
    assert [changed[key] for key in ("schedule", "epochs", "lr", "head")] == [{}, 7, 0.5, "freeze"]
    assert composed("model=minilm", "method=subspace")["head"] is None  # in the subspace, as DID has it
    plain = composed()
    assert (plain["init"]["source"]["epochs"], plain["lr"], plain["head"]) == (30, 0.01, "freeze")
    assert "tokenizer" not in plain


@pytest.mark.parametrize("method", ["full", "lora", "subspace"])
def test_a_run_that_was_stopped_goes_on_with_the_same_bits(method, folders, data, tmp_path, monkeypatch):
    """Data order, buckets, dropout, the rate within an epoch: all as if never stopped."""
    from experiments.state import RunState
    from experiments.train import train

    config = composed(
        f"method={method}", "model=hf", f"model.name={folders['bert']}", "dataset=sst2", f"data_dir={data}",
        "epochs=4", "batch_size=5", "lr=0.01", "checkpoint_seconds=0", f"output={tmp_path}",
    )  # fmt: skip
    whole = train(config, tmp_path / "whole")
    usual, added = RunState.add, []

    def stop(self, epoch):
        usual(self, epoch)
        added.append(epoch)
        if len(added) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunState, "add", stop)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "stopped")
    monkeypatch.setattr(RunState, "add", usual)
    again = train(config, tmp_path / "stopped")
    assert again["history"] == whole["history"]
    stored = [load_file(tmp_path / name / "trained.safetensors") for name in ("whole", "stopped")]
    assert all(torch.equal(stored[0][name], stored[1][name]) for name in stored[0])


def test_a_sweep_over_ranks(program, folders, data, tmp_path):  # noqa: F811
    status, out, err = program(
        f"-m study=text model=hf init=hub model.name={folders['bert']} dataset=sst2 data_dir={data} rank=1,2 lr=0.01",
        tmp_path,
    )
    assert status == 0, err
    records = [json.loads(path.read_text()) for path in (tmp_path / "text").glob("*/record.json")]
    assert sorted(record["config"]["rank"] for record in records) == [1, 2]
    assert all(record["numbers"]["head"] == 34 for record in records)
    heading = next(line for line in out.splitlines() if line.startswith("rank"))
    assert (
        " ".join(heading.split()) == "rank numbers head stored bytes validation accuracy test accuracy seconds status"
    )


# Mistakes


def test_bad_folders(folders, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    pickled = make_folder(tmp_path / "pickled", weights=False)
    (pickled / "pytorch_model.bin").write_bytes(b"anything")
    bare = make_folder(tmp_path / "bare", weights=False, tokenizer=False)
    harmed = make_folder(tmp_path / "harmed")
    (harmed / "model.safetensors").write_bytes(b"anything")
    foreign = make_folder(tmp_path / "foreign", "bert")
    (foreign / "model.safetensors").write_bytes((folders["roberta"] / "model.safetensors").read_bytes())
    unpadded = make_folder(tmp_path / "unpadded", "gpt2", eos_token_id=None)
    for folder, options, match in [
        (empty, {}, r"empty has no config.json: need a folder as save_pretrained of transformers writes it"),
        (bare, {}, r"bare has no model.safetensors: add it, or take init=random"),
        (pickled, {}, r"pickled has pickled weights, pytorch_model.bin, which may run code: save as model.safetensors"),
        (harmed, {}, r"cannot load .*harmed \(.*\): need a model .* with weights in safetensors"),
        (foreign, {}, r"foreign lacks \d+ tensors of its model, such as bert\."),
        (unpadded, {}, r"unpadded: need a pad_token_id or an eos_token_id in config.json, got none"),
        (tmp_path / "nowhere", {}, r"there is no folder .*nowhere: need one with config.json and model.safetensors"),
        ("package:no_such_package/model", {}, r"the package no_such_package is missing: pip install -e '.\[text\]'"),
        (
            folders["bert"],
            {"classifier": "folder", "num_outputs": 3},
            "has a head of 2 outputs, the task 3: take .*=new",
        ),
        (folders["bert"], {"classifier": "old"}, "need model.classifier=new or folder, got classifier='old'"),
        (folders["bert"], {"classifier": "folder", "source": None}, "classifier=folder needs init=hub"),
        (folders["bert"], {"precision": "half"}, "need model.precision=auto, .*, got precision='half'"),
        (folders["bert"], {"source": {"epochs": 3}}, "starts at init=hub .*, random or zero"),
    ]:
        with pytest.raises(UserError, match=match) as caught:
            build(folder, **options)
        assert "\n" not in str(caught.value)
    assert build(bare, source=None).classifier.out_features == 2  # untrained, it needs no weights
    with pytest.raises(UserError, match=r"bare has no tokenizer: add the model's tokenizer.json"):
        HFTokenizer(name=str(bare), max_length=16)
    with pytest.raises(UserError, match=r"need tokenizer.max_length <= 512 of .*, got max_length=513"):
        HFTokenizer(name=str(folders["bert"]), max_length=513)
    with pytest.raises(UserError, match=r"need tokenizer.max_length to be an integer >= 4, got max_length=0"):
        HFTokenizer(name=str(folders["bert"]), max_length=0)


def test_longer_than_the_model_reads(folders):
    with pytest.raises(UserError, match=r"reads 512 tokens, got 513: lower tokenizer.max_length"):
        hf((2, 513), 2, name=str(folders["bert"]), **PLAIN)


def test_a_text_of_no_tokens(folders, tmp_path):
    folder = make_folder(tmp_path / "plain")
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "post_processor": None}))
    with pytest.raises(UserError, match=r"cuts the text \(' ',\) into no token"):
        text_task(folder, tmp_path, [("good",), (" ",)])


def test_a_hub_id_while_offline(monkeypatch):
    import transformers

    def offline(*_args, **_kwargs):
        raise OSError("We couldn't connect to the hub\nCheck your connection")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", offline)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", offline)
    with pytest.raises(UserError, match=r"cannot load some/model \(OSError: .*; offline, give its folder, model.name="):
        build("some/model")
    with pytest.raises(UserError, match=r"cannot load the tokenizer of some/model \(.*offline, give a folder"):
        HFTokenizer(name="some/model", max_length=16)


@pytest.mark.parametrize(
    ("command", "match"),
    [
        ("model=minilm init=hub", r"hf.hf reads text, the dataset has inputs \(1, 8, 8\): take dataset=sst2"),
        ("dataset=sst2 init=scratch", r"mlp.MLP reads no text: take model=minilm or hf, or another dataset"),
        ("init=hub", "init=hub needs a model with weights of its own, got .*MLP: take model=minilm, or init=scratch"),
        ("model=hf init=hub dataset=sst2", "need model.name as a folder or a hub id, got model.name=None: .*=minilm"),
        ("dataset=sst2 init=scratch dataset.metric=f1", "sst2 is judged by accuracy, got metric='f1'"),
        ("schedule=warmup schedule.warmup=1", "need 0 <= schedule.warmup < 1, got warmup=1"),
        ("tokenizer.max_length=5", "tokenizer is no knob of method=lora: it belongs to model=hf"),
    ],
)
def test_bad_commands(refused, data, monkeypatch, command, match):  # noqa: F811
    monkeypatch.setenv("INTRINSIC_DATA", str(data))
    refused(command, match)


def test_make_task_keeps_tokens_where_it_is_told(folders, data):
    config = composed("model=hf", f"model.name={folders['bert']}", "dataset=sst2", f"data_dir={data}")
    task = make_task(config)
    assert task.texts is None
    assert [len(split) for split in (task.train, task.validation, task.test)] == [48, 24, 24]
    assert len(list((data / "tokens").iterdir())) == 1
