"""A bank with trained tasks."""

import intrinsic
from tests.support.bank_tasks import METHODS, Net, trained


def filled(*names, **options):
    bank = intrinsic.Bank(Net(), **options)
    nets = {name: trained(METHODS[name], seed) for seed, name in enumerate(names)}
    for name, net in nets.items():
        bank.add(name, net)
    return bank, nets
