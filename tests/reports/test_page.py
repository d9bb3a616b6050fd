"""The report's page in a real browser."""

import base64
import json
import re
import shutil
import time
from itertools import pairwise

import cv2
import numpy as np
import pytest

from mult.reports import site
from tests.reports.parts import FACTS, describe, write_gallery, write_reports

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install -e '.[dev]'")
from selenium.webdriver.common.actions.action_builder import ActionBuilder  # noqa: E402
from selenium.webdriver.common.actions.pointer_input import PointerInput  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="no Chromium with its chromedriver here"),
]
SAMPLES = 50  # of each of two domains


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_reports(folder / "reports")
    for seed, domain in enumerate(("doom", "rooms-home")):
        write_gallery(folder / "gallery" / domain, SAMPLES, 64, seed)
    site.write(folder / "index.html", site.read(folder / "reports", folder / "gallery", describe), FACTS)
    return folder


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    # /dev/shm is small in containers, and Chromium does not run in its sandbox as root.
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, folder):
    """The page, loaded anew in a wide window with nothing remembered; the console is silent to the end."""
    emulate(browser, 1300, 900)
    browser.get((folder / "index.html").as_uri())
    browser.execute_script("localStorage.clear()")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get((folder / "index.html").as_uri())
    yield browser
    assert browser.get_log("browser") == []


def emulate(browser, width, height, scheme="light"):
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def one(browser, selector):
    return browser.find_element(By.CSS_SELECTOR, selector)


def every(browser, selector):
    return browser.find_elements(By.CSS_SELECTOR, selector)


def wait(happened):
    """Until ``happened()``, three seconds at most; returns what it returned."""
    deadline = time.monotonic() + 3
    while not (result := happened()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return result


def pixels(browser, selector):
    """A canvas's (H, W, 3)."""
    data = browser.execute_script("return document.querySelector(arguments[0]).toDataURL('image/png')", selector)
    coded = np.frombuffer(base64.b64decode(data.split(",")[1]), np.uint8)
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1]


def choose(browser, selector, value):
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))"
    browser.execute_script(script, one(browser, selector), value)


def first_column(browser):
    return [cell.text for cell in every(browser, "#six_task tbody th")]


def test_a_table_is_sorted_by_number_with_mouse_and_keyboard(page):
    before = first_column(page)
    head, button = one(page, "#six_task th:nth-child(2)"), one(page, "#six_task th:nth-child(2) button")
    button.click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert first_column(page) == ["edges", "semseg", "normal", "depth", "keypoints", "reshading"]
    button.send_keys(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "descending"
    assert first_column(page) == ["keypoints", "depth", "normal", "semseg", "edges", "reshading"]
    one(page, "#six_task th:first-child button").send_keys(Keys.SPACE)
    assert head.get_attribute("aria-sort") == "none"
    assert first_column(page) == sorted(before)
    for _ in range(2):
        one(page, "#six_task th:first-child button").click()
    assert first_column(page) == before


def test_a_cell_opens_the_runs_it_comes_from(page):
    button = one(page, "#six_task tbody .origin")
    button.click()
    popover = one(page, "#runs")
    assert popover.is_displayed()
    links = every(page, "#runs a")
    assert [link.text for link in links] == ["mult-shared-s0", "mult-shared-s1"]
    assert [link.get_dom_attribute("href") for link in links] == [
        f"http://127.0.0.1:5000/#/runs/{seed:032x}" for seed in range(2)
    ]
    assert {(link.get_dom_attribute("target"), link.get_dom_attribute("rel")) for link in links} == {
        ("_blank", "noopener")
    }
    assert "mult-lost-s0 (no MLflow run is known)" in popover.text
    assert page.switch_to.active_element == links[0]
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not popover.is_displayed()
    assert page.switch_to.active_element == button


@pytest.mark.parametrize(
    ("typed", "base"),
    [
        ("https://mlflow.example:8080/", "https://mlflow.example:8080"),
        ("javascript:alert(1)//", "http://127.0.0.1:5000"),
    ],
)
def test_the_address_of_mlflow_is_remembered(page, typed, base):
    field = one(page, "#mlflow")
    assert field.get_property("value") == "http://127.0.0.1:5000"
    field.clear()
    field.send_keys(typed, Keys.TAB)
    page.refresh()
    assert one(page, "#mlflow").get_property("value") == typed
    one(page, "#six_task tbody .origin").click()
    assert one(page, "#runs a").get_dom_attribute("href") == f"{base}/#/runs/{0:032x}"


def test_storage_that_throws_costs_nothing_but_the_memory(browser, folder):
    thrown = "Object.defineProperty(window, 'localStorage', {get() {throw new DOMException('no', 'SecurityError')}})"
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": thrown})
    try:
        browser.get((folder / "index.html").as_uri())
        one(browser, "#theme").click()
        assert one(browser, "#theme").get_attribute("aria-pressed") in ("true", "false")
        assert one(browser, "#mlflow").get_property("value") == "http://127.0.0.1:5000"
        assert browser.get_log("browser") == []
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_the_slider_moves_with_keys_and_pointer(page):
    slider, left = one(page, "#g-slider"), one(page, "#g-left-picture")

    def shown():
        return float(re.search(r"inset\(0px ([\d.]+)%", left.value_of_css_property("clip-path"))[1])

    assert shown() == 50
    slider.send_keys(Keys.ARROW_LEFT * 5)
    assert shown() == 55
    assert slider.get_attribute("aria-valuetext") == "45 % label, 55 % shared"
    slider.send_keys(Keys.HOME)
    assert shown() == 100
    for kind, share in (("mouse", 0.25), ("touch", 0.8)):
        finger = ActionBuilder(page, mouse=PointerInput(kind, kind))
        width = slider.size["width"]
        finger.pointer_action.move_to(slider, -int(0.3 * width), 0).pointer_down()
        finger.pointer_action.move_to(slider, round((share - 0.5) * width), 10).pointer_up()
        finger.perform()
        assert shown() == pytest.approx(100 - 100 * share, abs=1), kind
    slider.send_keys(Keys.ARROW_RIGHT)
    assert shown() == pytest.approx(19, abs=1)


def test_the_gallery_shows_what_is_chosen(page, folder):
    pictures = np.load(folder / "gallery/rooms-home/pictures.npz")
    assert one(page, "#g-domain").get_property("value") == "rooms-home"
    assert "the median of these" in one(page, "#g-said").text
    thumbs = every(page, "#g-thumbs button")
    assert len(thumbs) == SAMPLES
    page.execute_script("arguments[0].scrollIntoView()", thumbs[7])
    thumbs[7].click()
    assert [thumb.get_attribute("aria-pressed") for thumb in thumbs].index("true") == 7
    choose(page, "#g-task", "depth")
    choose(page, "#g-left", "input")
    wait(lambda: np.array_equal(pixels(page, "#g-left-picture"), pictures["rgb"][7]))
    wait(lambda: np.array_equal(pixels(page, "#g-right-picture"), pictures["shared/depth"][7]))
    assert one(page, "#g-said").text.startswith("Image 70 (room-7): error 7.50 times the average. shared: 0.08 m")
    row = every(page, "#g-all tbody tr")[1]
    assert [cell.text for cell in every(row, "td")] == ["", "0.38 m", "0.28 m", "0.18 m", "0.08 m"]
    assert [bold.text for bold in every(row, "b")] == ["0.08 m"]
    assert "no valid pixel" in one(page, "#g-all").text
    assert "8 %" in every(page, "#g-all tbody tr")[0].text
    assert "8°" not in row.text
    assert "8°" in every(page, "#g-all tbody tr")[2].text
    every(page, "#g-all tbody tr")[3].find_elements(By.TAG_NAME, "button")[2].click()
    assert one(page, "#g-task").get_property("value") == "reshading"
    assert one(page, "#g-right").get_property("value") == "self"
    wait(lambda: np.array_equal(pixels(page, "#g-right-picture"), pictures["self/reshading"][7]))
    choose(page, "#g-domain", "doom")
    other = np.load(folder / "gallery/doom/pictures.npz")["rgb"]
    wait(lambda: np.array_equal(pixels(page, "#g-left-picture"), other[SAMPLES // 2]))


def weights_of(folder, variant, stage, owner, head, token):
    """The weights of one query over the tokens of its window, by the contract."""
    gallery = json.loads((folder / "gallery/rooms-home/gallery.json").read_text())
    of = next(of for of in gallery["attention"] if (of["variant"], of["stage"]) == (variant, stage))
    weights = (np.load(folder / "gallery/rooms-home/pictures.npz")[of["array"]] / 255.0) ** 2
    cells = np.array(of["cells"])
    window, place = np.argwhere(cells == token)[0]
    found = weights[owner, window, :, place]
    found = found / found.sum(-1, keepdims=True)
    return (found.mean(0) if head is None else found[head]), cells[window], place


def said(page):
    names, values = every(page, "#a-said dt"), every(page, "#a-said dd")
    return {name.text: value.text for name, value in zip(names, values, strict=True)}


def check(page, folder, variant, owner, head, token, side=6):
    """What the viewer says of stage 3 is what numpy says."""
    weights, cells, place = weights_of(folder, variant, 3, owner, head, token)
    tokens, best = (cells >= 0).sum(), weights.argmax()
    entropy = -(weights[weights > 0] * np.log(weights[weights > 0])).sum() / np.log(tokens)
    text = said(page)
    assert (
        text["Point"] == f"row {token // side + 1}, column {token % side + 1} of 6 × 6 tokens, in a window of {tokens}"
    )
    greatest = re.fullmatch(r"([\d.]+) \(([\d.]+) ×\) on row (\d), column (\d)", text["Greatest weight"]).groups()
    assert float(greatest[0]) == pytest.approx(weights[best], rel=6e-3)
    assert float(greatest[1]) == pytest.approx(weights[best] * tokens, abs=6e-3)
    assert (int(greatest[2]), int(greatest[3])) == (cells[best] // side + 1, cells[best] % side + 1)
    assert float(text["On itself"].split()[0]) == pytest.approx(weights[place], rel=6e-3)
    assert float(text["Entropy"].split()[0]) == pytest.approx(100 * entropy, abs=6e-3)


def test_the_attention_viewer_says_and_shows_the_weights_of_a_point(page, folder):
    viewer = one(page, "#a-viewer")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", viewer)
    wait(lambda: every(page, "#a-said dt"))
    assert [one(page, f"#a-{name}").get_property("value") for name in ("variant", "stage", "head")] == [
        "shared",
        "3",
        "mean",
    ]
    assert not one(page, "#a-owner").is_enabled()
    before = pixels(page, "#a-overlay")
    step = viewer.size["width"] / 6
    # The token in row 2, column 5 of 6, from the middle of the picture.
    webdriver.ActionChains(page).move_to_element_with_offset(
        viewer, int(1.5 * step), int(-1.5 * step)
    ).click().perform()
    check(page, folder, "shared", 0, None, 1 * 6 + 4)
    assert not np.array_equal(pixels(page, "#a-overlay"), before)
    choose(page, "#a-variant", "self")
    choose(page, "#a-owner", "3")
    choose(page, "#a-head", "1")
    check(page, folder, "self", 3, 1, 1 * 6 + 4)
    viewer.send_keys(
        Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_LEFT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT
    )
    check(page, folder, "self", 3, 1, 3 * 6 + 5)
    choose(page, "#a-stage", "1")
    assert said(page)["Point"] == "row 2, column 2 of 2 × 2 tokens, in a window of 4"


def test_the_colours_are_those_of_the_legend(page, folder):
    viewer = one(page, "#a-viewer")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", viewer)
    wait(lambda: every(page, "#a-said dt"))
    choose(page, "#a-head", "0")
    token = int(said(page)["Point"].split()[1].strip(",")) * 6 - 6 + int(said(page)["Point"].split()[3]) - 1
    weights, cells, place = weights_of(folder, "shared", 3, 0, 0, token)
    overlay = pixels(page, "#a-overlay")
    step = overlay.shape[0] // 6
    tokens = (cells >= 0).sum()
    for key, cell in enumerate(cells):
        if key == place or cell < 0:
            continue
        red, _, blue = overlay[(cell // 6) * step + step // 2, (cell % 6) * step + step // 2].astype(int)
        ratio = weights[key] * tokens
        assert (red > blue + 8) == (ratio > 1.06) or 0.9 < ratio < 1.1
    ticks = [tick.text for tick in every(page, "#a-ticks li")]
    limit = float(ticks[-1].strip("≥ ×"))
    assert ticks[0].startswith("≤")
    assert float(ticks[0].strip("≤ ×")) == pytest.approx(1 / limit, rel=0.01)
    assert ticks[2] == "1 ×"


def test_a_figure_is_enlarged_and_closed(page):
    button = one(page, "#answer .enlarge")
    assert one(page, "#answer img").get_attribute("alt") == "What sharing shows"
    button.click()
    large = one(page, "#enlarged img")
    assert one(page, "#enlarged").is_displayed()
    assert large.get_attribute("alt") == "What sharing shows"
    assert large.size["width"] > one(page, "#answer img").size["width"]
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not one(page, "#enlarged").is_displayed()
    assert page.switch_to.active_element == button


def brightness(page, selector="body"):
    colour = one(page, selector).value_of_css_property("background-color")
    return sum(map(int, re.findall(r"\d+", colour)[:3]))


def test_dark_and_light(page):
    assert brightness(page) > 700
    one(page, "#theme").click()
    assert one(page, "#theme").get_attribute("aria-pressed") == "true"
    assert brightness(page) < 100
    assert brightness(page, ".card") == 765
    page.refresh()
    assert brightness(page) < 100
    page.execute_script("localStorage.clear()")
    emulate(page, 1300, 900, "dark")
    page.refresh()
    assert brightness(page) < 100
    one(page, "#theme").click()
    assert brightness(page) > 700


def test_nothing_is_fetched_and_no_picture_is_broken(page, folder):
    page.execute_script("document.querySelector('#attention').scrollIntoView()")
    wait(lambda: every(page, "#a-said dt"))
    time.sleep(0.2)
    asked = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    addresses = {of["params"]["request"]["url"] for of in asked if of["method"] == "Network.requestWillBeSent"}
    assert {url for url in addresses if not url.startswith("data:")} == {(folder / "index.html").as_uri()}
    widths = page.execute_async_script("""
        const done = arguments[arguments.length - 1];
        const names = [...document.querySelectorAll('script[type$=base64]')].map(({id}) => id);
        const sprites = names.filter((name) => !name.includes('/attention/')).map((name) => picture(name));
        Promise.all(sprites).then((all) => done(
            [...all, ...document.querySelectorAll('figure img')].map((image) => image.naturalWidth)));
    """)
    assert len(widths) == 2 * (6 * SAMPLES + 1) + 2
    assert min(widths) > 0


def test_every_anchor_of_the_page_leads_somewhere(page):
    broken = page.execute_script(
        "return [...document.querySelectorAll('a[href^=\"#\"]')].map((a) => a.hash.slice(1))"
        ".filter((id) => !document.getElementById(id))"
    )
    assert broken == []
    one(page, "a[href='#ablation']").click()
    top = page.execute_script("return document.querySelector('#ablation').getBoundingClientRect().top")
    assert abs(top) < 60


def test_it_fits_a_phone(page):
    emulate(page, 390, 844)
    for selector in ("#answer", "#six_task", "#gallery", "#attention", "#settings"):
        page.execute_script("document.querySelector(arguments[0]).scrollIntoView()", selector)
    wait(lambda: every(page, "#a-said dt"))
    assert page.execute_script("return [document.documentElement.scrollWidth, innerWidth]") == [390, 390]
    box = one(page, "#six_task .scroll")
    page.execute_script("arguments[0].scrollLeft = 300", box)
    assert page.execute_script("return arguments[0].scrollLeft", box) == 300
    sticky = one(page, "#six_task tbody th").location["x"]
    assert sticky == pytest.approx(box.location["x"], abs=1)
    page.execute_script("arguments[0].scrollLeft = 0", box)
    one(page, "#six_task tbody .origin").click()
    popover = one(page, "#runs").rect
    assert popover["x"] >= 0
    assert popover["x"] + popover["width"] <= 390


def test_it_can_be_used_without_seeing_it(page):
    page.execute_script("document.querySelector('#attention').scrollIntoView()")
    wait(lambda: every(page, "#a-said dt"))
    one(page, "#six_task tbody .origin").click()
    controls = every(page, "button, input, select, [role=application], [role=region], nav, main, dialog, a")
    shown = [control for control in controls if control.is_displayed()]
    nameless = [of.get_attribute("outerHTML")[:100] for of in shown if of.tag_name != "main" and not of.accessible_name]
    assert nameless == []
    levels = [int(head.tag_name[1]) for head in every(page, "h1, h2, h3, h4")]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    roles = {element.aria_role for element in every(page, "header.top, nav, main, footer")}
    assert roles == {"banner", "navigation", "main", "contentinfo"}
    assert page.execute_script(
        "const ids = [...document.querySelectorAll('[id]')].map(({id}) => id); return ids.length - new Set(ids).size"
    ) == 0  # fmt: skip
    assert one(page, "#a-said").get_attribute("aria-live") == "polite"


def test_the_first_tab_stop_skips_to_the_results(page):
    one(page, "body").send_keys(Keys.TAB)
    link = page.switch_to.active_element
    assert link.text == "Skip to the results"
    link.send_keys(Keys.ENTER)
    assert page.switch_to.active_element.get_attribute("id") == "main"


def test_a_hundred_samples_load_within_two_seconds(page, folder):
    def seconds():
        page.refresh()
        time.sleep(0.3)
        return page.execute_script("""
            const {domContentLoadedEventEnd} = performance.getEntriesByType('navigation')[0];
            const painted = performance.getEntriesByName('first-contentful-paint')[0].startTime;
            return Math.max(domContentLoadedEventEnd, painted) / 1000;
        """)

    assert min(seconds() for _ in range(3)) < 2  # the best of three, for tests share the machine with others
    assert len(every(page, "#g-thumbs button")) == SAMPLES
