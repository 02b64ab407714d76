"""A subspace in the Trainer of transformers."""

import torch


def trained_by_trainer(net, folder, data=None, **options):
    from transformers import Trainer, TrainingArguments

    rows = torch.arange(24)
    data = data or [
        {"input_ids": (torch.arange(6) * (row + 1)) % 30, "attention_mask": torch.ones(6).long(), "labels": row % 3}
        for row in rows
    ]
    options = {"max_steps": 4, "save_strategy": "no", "learning_rate": 0.05, "max_grad_norm": 0.5} | options
    arguments = TrainingArguments(
        str(folder),
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        remove_unused_columns=False,
        label_names=["labels"],
        **options,
    )
    trainer = Trainer(net, arguments, train_dataset=data, eval_dataset=data)
    trainer.train()
    return trainer
