"""Published tables about language models, each with its source. Data only."""

from dataclasses import dataclass

HU = "Hu et al. 2021, arXiv:2106.09685"
AGHAJANYAN = "Aghajanyan et al. 2020, arXiv:2012.13255"

# accuracy in percent of GPT-3 175B, by the matrices that LoRA updates and its rank; Hu et al. 2021, table 6
HU_RANKS = {
    "WikiSQL": {
        "query": {1: 68.8, 2: 69.6, 4: 70.5, 8: 70.4, 64: 70.0},
        "query, value": {1: 73.4, 2: 73.3, 4: 73.7, 8: 73.8, 64: 73.5},
        "query, key, value, output": {1: 74.1, 2: 73.7, 4: 74.0, 8: 74.0, 64: 73.9},
    },
    "MultiNLI": {
        "query": {1: 90.7, 2: 90.9, 4: 91.1, 8: 90.7, 64: 90.7},
        "query, value": {1: 91.3, 2: 91.4, 4: 91.3, 8: 91.6, 64: 91.4},
        "query, key, value, output": {1: 91.2, 2: 91.7, 4: 91.7, 8: 91.5, 64: 91.4},
    },
}
# accuracy in percent on WikiSQL with 18 million parameters of LoRA, by matrices; Hu et al. 2021, table 5
HU_MATRICES = {
    "query": 70.4, "key": 70.0, "value": 73.0, "output": 73.2, "query, key": 71.4, "query, value": 73.7,
    "query, key, value, output": 73.7,
}  # fmt: skip
# d90 by model, then task; Aghajanyan et al. 2020, table 1
SAID = {
    "BERT-base": {"MRPC": 1608, "QQP": 8030},
    "BERT-large": {"MRPC": 1037, "QQP": 1200},
    "RoBERTa-base": {"MRPC": 896, "QQP": 896},
    "RoBERTa-large": {"MRPC": 207, "QQP": 774},
}
DID = {
    "BERT-base": {"MRPC": 1861, "QQP": 9295},
    "BERT-large": {"MRPC": 2493, "QQP": 1389},
    "RoBERTa-base": {"MRPC": 1000, "QQP": 1389},
    "RoBERTa-large": {"MRPC": 322, "QQP": 774},
}


@dataclass(frozen=True)
class PublishedClaim:
    """What a paper says of its method.

    Args:
        says: the claim in words.
        value: what was measured, as published.
        of: the model and task that it was measured on.
        source: where it stands.
    """

    says: str
    value: str
    of: str
    source: str


CLAIMS = {
    "memory": PublishedClaim(
        "LoRA trains in a third of the memory", "1.2 TB ÷ 350 GB = 3.4", "GPT-3 175B, Adam", f"{HU}, section 4.2"
    ),
    "checkpoint": PublishedClaim(
        "a checkpoint is 10,000 times smaller", "350 GB ÷ 35 MB = 10,000", "GPT-3 175B, query and value, rank 4",
        f"{HU}, section 4.2",
    ),
    "speed": PublishedClaim(
        "LoRA trains 25 % faster", "43.1 ÷ 32.5 tokens a second = 1.33", "GPT-3 175B", f"{HU}, section 4.2"
    ),
    "latency": PublishedClaim(
        "merged, it adds no latency; an adapter does", "0 %; +20.7 and +30.3 %",
        "GPT-2 medium, batch 1, length 128", f"{HU}, table 1",
    ),
    "rank": PublishedClaim(
        "a rank of 1 or 2 suffices", "73.4 at rank 1, 73.8 at rank 8", "GPT-3 175B, WikiSQL, query and value",
        f"{HU}, table 6",
    ),
    "optimum": PublishedClaim(
        "LoRA gains with its size, where other methods have an optimum", "a drop beyond 256 special tokens",
        "GPT-3 175B", f"{HU}, figure 2",
    ),
    "prefix": PublishedClaim(
        "LoRA and a prefix add up", "76.2 with, 73.8 without", "GPT-3 175B, WikiSQL", f"{HU}, table 15"
    ),
    "compression": PublishedClaim(
        "a network is its seed and d90 numbers", "199,210 ÷ 750 = 266", "784-200-200-10, MNIST",
        "Li et al. 2018, arXiv:1804.08838, section 3.1",
    ),
    "size": PublishedClaim(
        "larger pretrained models need fewer dimensions", "1,608 and 207 (ratio 0.13)",
        "BERT-base and RoBERTa-large, MRPC, SAID", f"{AGHAJANYAN}, table 1",
    ),
    "scales": PublishedClaim(
        "a learned scale for each layer saves dimensions", "1,608 ÷ 1,861 = 0.86", "BERT-base, MRPC, SAID and DID",
        f"{AGHAJANYAN}, table 1",
    ),
    "pretraining": PublishedClaim(
        "d90 falls as pretraining goes on", "falls on all tasks, from 10,000 to 200,000 updates", "RoBERTa-base",
        f"{AGHAJANYAN}, section 5.1",
    ),
}  # fmt: skip
