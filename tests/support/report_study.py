"""A study with every kind of run, hostile texts included."""

from tests.support.studies import add

EVIL = "</script></pre><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def grid(study):
    """Three methods and a baseline whose threshold is known: the score crosses 0.9 * 0.96 between dims 100 and 300."""
    for seed in range(3):
        for dim in (10, 30, 100, 300, 1000, 3000):
            score = 0.1 + 0.86 / (1 + (30 / dim) ** 1.2) + 0.004 * seed
            add(study, "subspace", score, score, projection="Fastfood", dim=dim, seed=seed)
        for rank in (1, 2, 4):
            add(study, rank=rank, seed=seed, test=0.95 - 0.2 / rank, validation=0.94 - 0.2 / rank)
        add(study, "full", 0.96, seed=seed)
    add(study, rank=4, seed=9, status="diverged")
