"""Headless Chromium, without a network of its own."""

import shutil
import time
from contextlib import contextmanager

import pytest

FLAGS = "headless=new no-sandbox disable-gpu disable-dev-shm-usage no-first-run disable-background-networking"
FLAGS += " disable-component-update disable-sync"
PHONE = 390  # pixels that a phone is wide


@contextmanager
def chromium(folder):
    """A browser with its profile in a folder; skips where there is none."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("no chromium with chromedriver here: `apt-get install chromium chromium-driver`")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in FLAGS.split():
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={folder}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield window
    finally:
        window.quit()


def emulate(browser, width, scheme):
    """A screen of a width, a phone's if it is that of one, that prefers light or dark."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def wait(condition):
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends, "it did not happen within a minute"
        time.sleep(0.1)


def complaints(browser):
    """What the browser has logged, but for notes."""
    return [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"]


def overflow(browser):
    """By how many pixels the page is wider than its window."""
    return browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
