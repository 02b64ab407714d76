"""What the site takes from elsewhere in the repository, for mkdocs."""

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

GROWTH = Path(__file__).parent.parent / "benchmarks" / "growth.png"  # beside the page that shows it


def on_files(files: Files, config: Any) -> Files:
    """Add the figure of the benchmarks."""
    files.append(File.generated(config, "growth.png", abs_src_path=str(GROWTH)))
    return files
