"""A bank serves several threads: each row has the numbers of its own task, whoever else calls."""

import copy
import threading

import pytest
import torch

import intrinsic
from tests.support.bank_tasks import METHODS, TOKENS, Net, logits, trained

TASKS = ["lora", "wide", "subspace"]


@pytest.mark.parametrize("keep", [True, False])
def test_threads_call_one_bank(keep):
    bank = intrinsic.Bank(Net(), keep=keep)
    for seed, name in enumerate(TASKS):
        bank.add(name, trained(METHODS[name], seed))
    bank = copy.deepcopy(bank).use("lora")
    orders = [[[*TASKS, None][(k * step + k) % 4] for k in range(len(TOKENS))] for step in range(4)]
    expected = [logits(bank, TOKENS, tasks=order) for order in orders]
    assert not torch.equal(expected[0], expected[1])
    wrong = []

    def work(k):
        for step in range(8):
            order = (k + step) % 4
            if k == 3:
                bank.use(TASKS[step % 3])
            else:
                wrong.append(not torch.allclose(logits(bank, TOKENS, tasks=orders[order]), expected[order], atol=1e-6))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 24
    assert not any(wrong)
