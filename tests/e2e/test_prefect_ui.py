"""What an operator sees in Prefect's UI, in a real browser; screenshots stay in the test's folder."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Page, Response, sync_playwright
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.blocks.planted_blocks import planted_blocks
from tests.e2e.conftest import LAST_DAY, Running
from tests.prefect_requests import ask

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# A browser in a container has no sandbox of its own, and nothing to ask of the network.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 30_000

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser.new_page(viewport={"width": 1400, "height": 1000})
        browser.close()


def test_the_deployments_show_their_schedules(night: Running, page: Page, tmp_path: Path) -> None:
    page.goto(f"{night.ui}/deployments")
    for name in ("aggregate-features-daily", "compute-daily-kpis", "mirt-calibrate", "nightly"):
        page.get_by_text(name).first.wait_for(timeout=PATIENCE_MS)
    for time in ("02:10 AM", "02:25 AM", "03:00 AM"):
        page.get_by_text(f"At {time} every day").wait_for(timeout=PATIENCE_MS)
    page.screenshot(path=tmp_path / "deployments.png")


def test_a_runs_summary_can_be_read(night: Running, page: Page, tmp_path: Path) -> None:
    wanted = {"artifacts": {"key": {"any_": ["mirt-calibrate-summary"]}}, "limit": 1}
    found = ask("POST", f"{night.prefect_api_url}/artifacts/latest/filter", wanted)[0]
    page.goto(f"{night.ui}/artifacts/artifact/{found['latest_id']}")
    page.get_by_text(f"mirt-calibrate, {LAST_DAY}").first.wait_for(timeout=PATIENCE_MS)
    page.get_by_text("answers counted").first.wait_for(timeout=PATIENCE_MS)
    page.screenshot(path=tmp_path / "summary.png")


def test_a_calibrations_figures_are_drawn(night: Running, page: Page, tmp_path: Path) -> None:
    wanted = {"artifacts": {"key": {"any_": ["mirt-calibrate-figures"]}}, "limit": 1}
    found = ask("POST", f"{night.prefect_api_url}/artifacts/latest/filter", wanted)[0]
    page.goto(f"{night.ui}/artifacts/artifact/{found['latest_id']}")
    page.get_by_role("img", name="EM steps").wait_for(timeout=PATIENCE_MS)
    for name in ("Histograms of", "EM steps"):
        image = page.get_by_role("img", name=name)
        assert image.evaluate("image => image.complete && image.naturalWidth") > 500
    page.screenshot(path=tmp_path / "figures.png", full_page=True)


def test_the_form_describes_its_parameters(night: Running, page: Page, tmp_path: Path) -> None:
    found = ask("GET", f"{night.prefect_api_url}/deployments/name/mirt-calibrate/mirt-calibrate")
    page.goto(f"{night.ui}/deployments/deployment/{found['id']}/run")
    page.get_by_text("Days of answers up to the date.").wait_for(timeout=PATIENCE_MS)
    page.get_by_text("Which answers of a learner to one item count.").wait_for(timeout=PATIENCE_MS)
    page.screenshot(path=tmp_path / "form.png")


def save_planted_blocks(api_url: str) -> dict[str, UUID]:
    """Save a block of every class; return their documents by the name of the class."""
    with temporary_settings({PREFECT_API_URL: api_url}):
        saved = {kind: one.block.save("planted", overwrite=True) for kind, one in planted_blocks().items()}
    return {kind.__name__: document for kind, document in saved.items() if isinstance(document, UUID)}


def test_no_page_of_a_block_shows_its_secrets(night: Running, page: Page, tmp_path: Path) -> None:
    received: list[str] = []

    def receive(response: Response) -> None:
        if "/api/block" in response.url:
            received.append(response.text())

    # In a thread of its own: the browser's event loop runs in this one, and Prefect would await there.
    with ThreadPoolExecutor(1) as elsewhere:
        saved = elsewhere.submit(save_planted_blocks, night.prefect_api_url).result()
    page.on("response", receive)
    for name, document in saved.items():
        for address in (f"blocks/block/{document}", f"blocks/block/{document}/edit"):
            page.goto(f"{night.ui}/{address}")
            page.get_by_text("planted").first.wait_for(timeout=PATIENCE_MS)
            page.wait_for_load_state("networkidle")
            received.append(page.content())
        page.screenshot(path=tmp_path / f"{name}.png")
    page.remove_listener("response", receive)
    everything = "\n".join(received)
    secrets = {secret for one in planted_blocks().values() for secret in one.secrets}
    assert len(saved) == len(planted_blocks())
    assert "****" in everything
    assert {secret for secret in secrets if secret in everything} == set()
