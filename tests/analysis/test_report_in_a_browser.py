"""The report in headless Chromium: what a reader sees, and that nothing else runs."""

import json

import pytest

from analysis.report import report
from tests.support.browser import PHONE, chromium, complaints, emulate, overflow, wait
from tests.support.report_study import EVIL, grid
from tests.support.studies import add

LARGEST_CANVAS = """
const sizes = [];
const walk = node => {
  if (node instanceof HTMLCanvasElement) sizes.push(Math.min(node.width, node.height));
  if (node.shadowRoot) walk(node.shadowRoot);
  for (const child of node.children) walk(child);
};
walk(arguments[0]);
return Math.max(0, ...sizes);"""
PLACE_OF_A_POINT = """
const models = [...Bokeh.documents[0]._all_models.values()];
const points = models.find(model => model.name === arguments[0] && model.data_source.data.run);
const view = Bokeh.index.get_by_id(models.find(model => model.type === "Figure").id);
const data = points.data_source.data, box = view.el.getBoundingClientRect();
const at = (scale, values) => scale.compute(Array.from(values)[0]);
return [box.x + at(view.frame.x_scale, data.x), box.y + at(view.frame.y_scale, data.y), data.run[0]];"""
TEXT_IN_SHADOWS = """
const said = [];
const walk = node => {
  if (node.nodeType === Node.TEXT_NODE) said.push(node.data);
  if (node.shadowRoot) walk(node.shadowRoot);
  for (const child of node.childNodes) walk(child);
};
walk(document.body);
return said.join("|");"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as window:
        yield window


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report of two tasks whose records try to run scripts."""
    study = tmp_path_factory.mktemp("outputs") / "demo"
    grid(study)
    path = add(study, rank=8, seed=3, status="diverged")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"error": EVIL}))
    add(study, rank=1, optim={"note": EVIL})  # in the name of the setting, which hovering shows
    add(study.with_name("other"), rank=1, dataset={"_target_": "data.Digits", "note": EVIL})
    return report(study, study.with_name("other"))


def show(browser, page, width, scheme):
    emulate(browser, width, scheme)
    browser.get(page.as_uri())
    wait(lambda: browser.execute_script("return document.documentElement.dataset.plots") == "drawn")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (PHONE, "dark")])
def test_it_is_drawn_without_complaint(browser, page, width, scheme):
    show(browser, page, width, scheme)
    assert complaints(browser) == []  # no error of a script, nothing refused by the page's own policy
    widths = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert len(widths) >= 5
    assert min(widths) > 500
    for plot in browser.find_elements("css selector", ".plot"):
        wait(lambda plot=plot: browser.execute_script(LARGEST_CANVAS, plot) > 250)
    assert overflow(browser) == 0  # nothing reaches beyond the page's width
    assert browser.execute_script("return innerWidth") == width
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (int(paper[4:].split(",")[0]) < 60) == (scheme == "dark")
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in loaded if not name.startswith("data:")] == []
    assert "owned" not in browser.title


@pytest.mark.slow
def test_a_heading_sorts(browser, page):
    show(browser, page, 1100, "light")
    table = browser.find_element("css selector", "table.sortable")
    headings = [cell.text.split()[0] for cell in table.find_elements("css selector", "thead th")]
    place = headings.index("test")
    heading = table.find_elements("css selector", "thead th")[place]
    column = f"return [...arguments[0].tBodies[0].rows].map(row => row.cells[{place}].textContent)"

    def scores():
        cells = browser.execute_script(column, table)
        return [float(cell) for cell in cells if cell], cells

    assert scores()[0] != sorted(scores()[0])
    heading.find_element("css selector", "button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert scores()[0] == sorted(scores()[0])
    assert scores()[1][-1] == ""  # the runs without a score
    heading.find_element("css selector", "button").send_keys("\ue007")  # Enter: by keyboard, too
    assert heading.get_attribute("aria-sort") == "descending"
    assert scores()[0] == sorted(scores()[0], reverse=True)
    assert scores()[1][-1] == ""
    other = table.find_elements("css selector", "thead th")[headings.index("method")]
    other.find_element("css selector", "button").click()
    assert (heading.get_attribute("aria-sort"), other.get_attribute("aria-sort")) == ("none", "ascending")


@pytest.mark.slow
def test_a_run_opens_to_its_whole_config(browser, page):
    show(browser, page, 1100, "light")
    fold = browser.find_element("css selector", "details[data-shared]")
    fold.find_element("css selector", "summary").click()
    wait(lambda: "epochs: 30\n" in fold.find_element("css selector", "pre").text + "\n")
    lines = fold.find_element("css selector", "pre").text.splitlines()
    assert {"seed: 0", "optim.lr: 0.01"} <= set(lines)
    assert lines == sorted(set(lines))


@pytest.mark.slow
def test_curves_say_which_run_a_point_is_and_can_be_hidden(browser, page):
    from selenium.webdriver.common.action_chains import ActionChains

    show(browser, page, 1100, "light")
    button = browser.find_element("css selector", "button[data-curve]")
    name = button.get_attribute("data-curve")
    browser.execute_script(
        "arguments[0].scrollIntoView({block: 'center'})", browser.find_element("css selector", ".plot")
    )
    for number in range(len(browser.find_elements("css selector", f"button[data-curve^={name[:-1]}]"))):
        x, y, run = browser.execute_script(PLACE_OF_A_POINT, f"{name[:-1]}{number}")
        chain = ActionChains(browser)
        chain.w3c_actions.pointer_action.move_to_location(round(x), round(y))
        chain.perform()
        wait(lambda run=run: f"run {run}" in browser.execute_script(TEXT_IN_SHADOWS))
    assert "owned" not in browser.title
    visible = (
        "return [...Bokeh.documents[0]._all_models.values()].filter(m => m.name === arguments[0]).map(m => m.visible)"
    )
    assert browser.execute_script(visible, name) == [True, True]
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert browser.execute_script(visible, name) == [False, False]
    button.click()
    assert browser.execute_script(visible, name) == [True, True]
