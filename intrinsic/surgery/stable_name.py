"""The name of a class in fingerprints, which are kept in files."""

from typing import Any, ClassVar


class StableName:
    """A class that files know by `stable_name`: its own name, unless its body says another.

    A class that is renamed says there what it was called before; else the nets and runs that it is part of would no
    longer fit the fingerprints in their files.
    """

    stable_name: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "stable_name" not in vars(cls):
            cls.stable_name = cls.__name__
