"""Files of nets with rows of padding: of this version, of older ones, which moved them, and of another padding."""

import copy

import pytest
import torch
from torch import nn

import intrinsic
from intrinsic.errors import UserError
from intrinsic.files.tensors import read_tensors, write_tensors
from tests.support.padded import PADDING, TEXTS, Mean, loss, make


def older():
    """As versions had it that moved padding: a file of theirs has the fingerprint of P with all of its rows."""
    net = make()
    net.zero_rows.clear()
    net.forget()
    assert net.projection.fingerprint() == intrinsic.Fastfood(10, net.full_dim, seed=net.projection.seed).fingerprint()
    return net


def by_file(net, path):
    intrinsic.save(net, path)
    torch.manual_seed(1)
    return intrinsic.load(Mean().double(), path)


def by_state(net, path):
    torch.save(net.state_dict(), path)
    other = intrinsic.Subspace(Mean().double(), projection=intrinsic.Fastfood, dim=10)
    other.load_state_dict(torch.load(path, weights_only=True))
    return other


@pytest.mark.parametrize("again", [by_file, by_state])
@pytest.mark.parametrize("write", [make, older])
def test_a_file_gives_the_net_that_it_was_written_of(write, again, tmp_path):
    net = write()
    other = again(net, tmp_path / "net")
    assert torch.equal(other(TEXTS), net(TEXTS))
    loss(net).backward()
    loss(other).backward()
    assert torch.equal(other.z.grad, net.z.grad)


def test_a_file_of_another_padding_is_refused(tmp_path):
    net = make()
    intrinsic.save(net, tmp_path / "net")
    torch.manual_seed(1)
    model = Mean().double()
    model.table.padding_idx = 5
    with pytest.raises(UserError, match="belongs to another model or seed"):
        intrinsic.load(model, tmp_path / "net")


def test_an_older_file_that_does_not_fit_leaves_the_rows_of_padding(tmp_path):
    path, net = tmp_path / "net", make()
    intrinsic.save(older(), path)
    tensors, metadata = read_tensors(path)
    write_tensors(path, tensors | {"z": torch.zeros(11)}, metadata)
    before = list(net.zero_rows), net.fingerprint()
    with pytest.raises(UserError, match="belongs to another model: it holds"):
        intrinsic.load(net, path)
    assert before == (net.zero_rows, net.fingerprint())
    assert before[0]


def test_tasks_of_a_bank_share_a_p_with_the_same_rows_alone():
    torch.manual_seed(1)
    base = nn.Sequential(nn.Embedding(20, 6, padding_idx=PADDING), nn.Linear(6, 20, bias=False)).double()
    bank, nets = intrinsic.Bank(base), {}
    for name, select in (("table", "0.*"), ("layer", "1.*")):
        net = intrinsic.Subspace(
            copy.deepcopy(base), space=intrinsic.Full(select=select), projection=intrinsic.OneHot, dim=10
        )
        with torch.no_grad():
            net.z.add_(0.5)
        bank.add(name, net)
        nets[name] = net
    for name, net in nets.items():
        torch.testing.assert_close(bank(TEXTS, tasks=[name] * len(TEXTS)), net(TEXTS))
