"""What the site takes from elsewhere than Markdown, for mkdocs: a figure of the benchmarks, and notebooks as pages."""

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

GROWTH = Path(__file__).parent.parent / "benchmarks" / "growth.png"  # beside the page that shows it


def on_files(files: Files, config: Any) -> Files:
    """Add the figure, and for each notebook a page with its cells and their outputs."""
    files.append(File.generated(config, "growth.png", abs_src_path=str(GROWTH)))
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        page = Path(notebook.src_uri).with_suffix(".md").as_posix()
        files.append(File.generated(config, page, content=markdown(json.loads(notebook.content_string))))
    return files


def on_page_markdown(text: str, *, page: Any, **_: Any) -> str:
    """Lead from a link to a notebook to its page, but where the page offers the file itself."""
    return text if "/notebooks/" in f"/{page.file.src_uri}" else re.sub(r"\.ipynb\)", ".md)", text)


def markdown(notebook: dict[str, Any]) -> str:
    """The page of a notebook: text as it is, code and what it printed as blocks, pictures inside."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {"text/plain": output.get("text", [])})
            if "image/png" in data:
                parts.append(f"![figure](data:image/png;base64,{''.join(data['image/png'].split())})")
            elif text := "".join(data["text/plain"]).rstrip():
                parts.append(f"```text\n{text}\n```")
    return "\n\n".join(parts) + "\n"
