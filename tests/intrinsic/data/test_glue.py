"""GLUE: its files as they come, its splits, and its metrics against their formulas."""

import pytest
import torch

from intrinsic.data.glue import TASKS, glue
from intrinsic.errors import UserError
from intrinsic.tasks.metrics import METRICS
from tests.support.glue import PLAIN, load, texts, write

every_task = pytest.mark.parametrize("task", TASKS)


@every_task
def test_hidden_test_labels_are_not_asked_for(task, tmp_path):
    """A tenth of the training examples is validation, and dev is test."""
    write(tmp_path, task, "train", 60)
    write(tmp_path, task, "dev", 9, start=1000)
    write(tmp_path, task, "test", 5, hidden=True)
    data = load(tmp_path, task)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [54, 6, 9]
    assert not any("secret" in text for text in data.texts)
    found = {text for split in (data.train, data.validation) for text in texts(data, split)}
    assert len(found) == 60
    assert all("100" in text[0] for text in texts(data, data.test))
    assert data.metric == TASKS[task].metrics[0]
    other = load(tmp_path, task, seed=1)
    assert texts(other, other.validation) != texts(data, data.validation)
    assert texts(other, other.test) == texts(data, data.test)


def test_labelled_dev_and_test_are_validation_and_test(tmp_path):
    for start, (split, count) in enumerate((("train", 10), ("dev", 4), ("test", 6))):
        write(tmp_path, "sst2", split, count, start=1000 * start)
    data = load(tmp_path, "sst2")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [10, 4, 6]
    assert texts(data, data.validation)[0] == ("a 1000 film",)
    assert data.test.targets.tolist() == [0, 1] * 3


def test_mrpc_comes_as_its_source_has_it(tmp_path):
    """A byte order mark, quotation marks that stand for themselves, no dev file, a labelled test file."""
    write(tmp_path, "mrpc", "train", 50, name="msr_paraphrase_train.txt", bom=True)
    write(tmp_path, "mrpc", "test", 8, name="msr_paraphrase_test.txt", bom=True, start=1000)
    data = load(tmp_path, "mrpc")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [45, 5, 8]
    assert texts(data, data.test)[0] == ('He said, "1000', "It said 1000.")


def test_classes_are_numbered_as_on_the_hub(tmp_path):
    for task, expected in {"mnli": [0, 1, 2], "rte": [0, 1, 0], "cola": [0, 1, 0], "stsb": [0.0, 2.5, 5.0]}.items():
        write(tmp_path, task, "train", 30)
        write(tmp_path, task, "dev", 3)
        data = load(tmp_path, task)
        assert data.test.targets.tolist() == expected
        assert data.num_outputs == (1 if task == "stsb" else 3 if task == "mnli" else 2)
    assert texts(load(tmp_path, "mnli"), load(tmp_path, "mnli").test)[0] == ("one 0", "two\x85 0")


def test_torn_rows_of_qqp_are_left_out(tmp_path):
    path = write(tmp_path, "qqp", "train", 20)
    path.write_text(path.read_text() + "21\t1\t2\ttorn\n")
    write(tmp_path, "qqp", "dev", 4)
    assert len(load(tmp_path, "qqp").texts) == 24


def test_options_change_the_training_examples(tmp_path):
    write(tmp_path, "rte", "train", 60)
    write(tmp_path, "rte", "dev", 9)
    whole, half = load(tmp_path, "rte"), load(tmp_path, "rte", fraction=0.5)
    assert len(half.train) == 27
    assert set(half.train.inputs.tolist()) < set(whole.train.inputs.tolist())
    assert torch.equal(half.validation.inputs, whole.validation.inputs)
    shuffled = load(tmp_path, "rte", shuffle_labels=True)
    assert torch.equal(shuffled.train.inputs, whole.train.inputs)
    assert not torch.equal(shuffled.train.targets, whole.train.targets)
    assert torch.equal(shuffled.train.targets.sort().values, whole.train.targets.sort().values)


# Metrics


def correlation(x, y):
    x, y = x - x.mean(), y - y.mean()
    return ((x @ y) / ((x @ x) * (y @ y)).sqrt()).item()


def ranks(x):
    """Equal values share their mean rank."""
    return (x[:, None] > x).double().sum(1) + ((x[:, None] == x).double().sum(1) - 1) / 2


def test_metrics_are_their_formulas():
    generator = torch.Generator().manual_seed(0)
    outputs, targets = torch.randn(200, 2, generator=generator), torch.randint(0, 2, (200,), generator=generator)
    outputs[:, 1] += targets
    predicted = outputs[:, 1] > outputs[:, 0]
    true = targets == 1
    both, wrong, missed = (sum(pairs).item() for pairs in (predicted & true, predicted & ~true, ~predicted & true))
    assert METRICS["accuracy"](outputs, targets) == pytest.approx(1 - (wrong + missed) / 200)
    assert METRICS["f1"](outputs, targets) == pytest.approx(2 * both / (2 * both + wrong + missed))
    assert METRICS["matthews"](outputs, targets) == pytest.approx(correlation(predicted.double(), true.double()))
    scores = (5 * torch.rand(200, generator=generator)).round()  # with ties
    values = scores[:, None] + torch.randn(200, 1, generator=generator)
    assert METRICS["pearson"](values, scores) == pytest.approx(correlation(values[:, 0].double(), scores.double()))
    assert METRICS["spearman"](values, scores) == pytest.approx(correlation(ranks(values[:, 0]), ranks(scores)))


def test_metrics_of_what_does_not_vary():
    constant, targets = torch.tensor([[1.0, 0.0]] * 4), torch.tensor([0, 1, 0, 1])
    assert METRICS["f1"](constant, targets) == METRICS["matthews"](constant, targets) == 0.0
    assert METRICS["f1"](constant, torch.zeros(4)) == 0.0
    assert METRICS["pearson"](torch.ones(4, 1), targets) == METRICS["spearman"](torch.ones(4, 1), targets) == 0.0
    broken = torch.tensor([[1.0], [float("nan")], [0.0], [2.0]])
    assert not METRICS["pearson"](broken, targets) < 1
    assert not METRICS["spearman"](broken, targets) < 1


def test_all_metrics_of_a_task_are_reported(tmp_path):
    write(tmp_path, "mrpc", "train", 50)
    write(tmp_path, "mrpc", "dev", 8)
    data = load(tmp_path, "mrpc", metric="f1")
    assert (data.metric, data.score) == ("f1", None)
    assert data.metrics(torch.eye(2), torch.tensor([0, 1])) == {"accuracy": 1.0, "f1": 1.0}
    write(tmp_path, "stsb", "train", 50)
    write(tmp_path, "stsb", "dev", 8)
    data = load(tmp_path, "stsb")
    outputs, targets = torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 5.0])
    assert data.loss(outputs, targets).item() == pytest.approx((1 + 4) / 2)
    assert data.metrics(outputs, targets) == pytest.approx({"pearson": 1.0, "spearman": 1.0})


# Mistakes


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"task": "wnli"}, "need task=sst2, mrpc, .* got task='wnli'"),
        ({"metric": "f1"}, "sst2 is judged by accuracy, got metric='f1': use one of them, or null"),
        ({"task": "stsb", "metric": "accuracy"}, "stsb is judged by pearson or spearman, got metric='accuracy'"),
        ({"fraction": 0}, "need 0 < fraction <= 1, got fraction=0"),
    ],
)
def test_bad_options(tmp_path, changes, match):
    with pytest.raises(UserError, match=match):
        glue(**{"task": "sst2", "data_dir": tmp_path, **PLAIN, **changes})


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("text\tlabel\nfine\t1\n", r"train.tsv: need the column 'sentence' once in its first line, got 'text, label'"),
        ("sentence\tlabel\n", r"train.tsv: need at least one example, got none: fetch it again"),
        ("", r"train.tsv: need the column 'sentence' once in its first line"),
        ("sentence\tlabel\nfine\t1\ndull\n", r"train.tsv, line 3: need 2 columns, got 1: fetch it again"),
        ("sentence\tlabel\nfine\t7\n", r"train.tsv, line 2: need the label 0 or 1, got '7': fetch it again"),
        ("sentence\nfine\n", r"SST-2: need labels in train and in dev or test, got them in dev"),
        (b"\xff\xfe\x00", r"train.tsv: is not UTF-8 \(invalid start byte at byte 0\)"),
    ],
)
def test_harmed_files(tmp_path, content, match):
    path = write(tmp_path, "sst2", "train", 4)
    write(tmp_path, "sst2", "dev", 4)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=match) as caught:
        load(tmp_path, "sst2")
    assert "\n" not in str(caught.value)


def test_a_score_that_is_no_number(tmp_path):
    path = write(tmp_path, "stsb", "train", 4)
    path.write_text(path.read_text().replace("2.5", "much"))
    with pytest.raises(UserError, match=r"train.tsv, line 3: need a number as score, got 'much'"):
        load(tmp_path, "stsb")


def test_training_labels_alone_do_not_do(tmp_path):
    write(tmp_path, "rte", "train", 20)
    with pytest.raises(UserError, match=r"RTE: need labels in train and in dev or test, got them in train"):
        load(tmp_path, "rte")


def test_the_hub_gives_the_same(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    label = {"label": [0, 1] * 10}
    pairs = {"premise": [f"one {n}" for n in range(20)], "hypothesis": [f"two {n}" for n in range(20)]}
    tables = {"train": pairs | label, "validation_matched": pairs | label, "test_matched": pairs | {"label": [-1] * 20}}
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: tables)
    data = load(tmp_path, "mnli")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [18, 2, 20]
    assert texts(data, data.test)[3] == ("one 3", "two 3")
    assert data.test.targets.tolist() == label["label"]
