"""Compose the config and run it: `python run.py [choice=name ...] [key=value ...] [-m]`."""

from intrinsic.terminal.check_program import check_program
from intrinsic.terminal.command import command
from intrinsic.terminal.lasting_imports import lasting_imports

with command():
    check_program()  # before what needs its packages is imported

with lasting_imports("hydra"):
    import hydra
    from omegaconf import DictConfig

    import experiments.config.resolvers  # noqa: F401  # configs name them
    from experiments.config.guarded import guarded
    from experiments.terminal.errors import one_line_errors


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> object:
    """Run one configuration, or a batch of a sweep, unless its record is there already."""
    from experiments.run.job import run_job

    return run_job(cfg)


if __name__ == "__main__":
    with one_line_errors(), guarded():
        main()
