"""The documentation as a site: it is built without a warning, and seen in headless Chromium without a network."""

import functools
import http.server
import logging
import os
import subprocess
import sys
import threading

import pytest

from tests.support.browser import PHONE, chromium, complaints, emulate, overflow, wait
from tests.support.configs import ROOT

HOME, METHOD, API, NOTEBOOK = "index.html", "methods/fastfood.html", "api/subspace.html", "notebooks/d90.html"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The site, as `make docs` builds it."""
    pytest.importorskip("mkdocs", reason="needs mkdocs: pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site):
    """Where this machine serves it."""
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as window:
        yield window


def loaded(browser):
    return browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "width", "scheme"),
    [
        pytest.param(page, width, scheme, marks=() if (page == API) == (width == PHONE) else pytest.mark.nightly)
        for page in (HOME, METHOD, API, NOTEBOOK)
        for width, scheme in ((1400, "light"), (PHONE, "dark"))
    ],
)
def test_a_page_is_shown_without_complaint(browser, address, page, width, scheme):
    emulate(browser, width, scheme)
    browser.get(f"{address}/{page}")
    browser.execute_script("localStorage.clear()")  # the scheme that was chosen by the page before
    browser.refresh()
    wait(lambda: browser.execute_script("return document.readyState") == "complete")
    assert complaints(browser) == []
    assert [name for name in loaded(browser) if not name.startswith((address, "data:"))] == []
    assert overflow(browser) == 0
    assert browser.execute_script("return innerWidth") == width
    images = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert all(images)
    paper = "return getComputedStyle(document.body).backgroundColor"
    wait(lambda: (int(browser.execute_script(paper)[4:].split(",")[0]) < 60) == (scheme == "dark"))


@pytest.mark.slow
def test_the_search_finds_a_method(browser, address):
    emulate(browser, 1400, "light")
    browser.get(f"{address}/{HOME}")
    field = browser.find_element("css selector", "input.md-search__input")
    browser.find_element("css selector", ".md-search__form").click()
    field.send_keys("Fastfood")
    result = "return [...document.querySelectorAll('.md-search-result a')].map(link => link.href)"
    wait(lambda: any("methods/fastfood.html" in href for href in browser.execute_script(result)))
    assert complaints(browser) == []


@pytest.mark.slow
def test_a_dead_link_or_a_name_that_is_gone_stops_the_build(tmp_path, caplog):
    """What `--strict` is for: seen to fail."""
    build = pytest.importorskip("mkdocs.commands.build", reason="needs mkdocs: pip install -e '.[docs]'")
    from mkdocs.config import load_config
    from mkdocs.exceptions import Abort, BuildError

    caplog.set_level(logging.INFO, logger="mkdocs")  # whose warnings count; a command before may have set the root's
    for text in ("[nowhere](nowhere.md)", "[nothing](#nothing)", "::: intrinsic.Nothing"):
        (tmp_path / "docs").mkdir(exist_ok=True)
        (tmp_path / "docs" / "index.md").write_text(f"# One page\n\n{text}\n")
        options = {"docs_dir": str(tmp_path / "docs"), "site_dir": str(tmp_path / "site"), "strict": True}
        config = load_config(str(ROOT / "mkdocs.yml"), **options, nav=None, hooks=[])
        with pytest.raises((Abort, BuildError, SystemExit)):
            build.build(config)
