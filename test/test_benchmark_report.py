"""The whole benchmark on a tiny folder: what it writes agrees with itself, and its page works in a real browser."""

import io
import json
import os
import re
import shutil
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from labelled_folder import STONES, write_folder

from desert_seg.errors import DataError, DesertSegError, OutputError
from desert_seg.images import read_image, read_mask, write_image
from desert_seg.scoring import Confusion

pytest.importorskip("torch")
pytest.importorskip("rich")
pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from desert_seg_train.benchmark.command import benchmark
from desert_seg_train.benchmark.config import BenchmarkConfig
from desert_seg_train.benchmark.pdf import BROWSERS
from desert_seg_train.evaluate.command import evaluate
from desert_seg_train.evaluate.config import EvaluateConfig

BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
LOG = "epoch,loss,skipped_steps,seconds,learning_rate,val_miou,val_loss\n1,2.5,0,9,0.001,,\n2,1.5,0,9,0.0005,0.4,1.75\n"
ABSENT = ("Trees", "Lush Bushes")
"""Classes that the measured folder does not hold; the one trained on holds them."""


@dataclass(frozen=True)
class Report:
    config: BenchmarkConfig
    printed: str

    @property
    def out(self):
        return self.config.out

    @property
    def results(self):
        return json.loads((self.out / "results.json").read_text())

    @property
    def page(self):
        return (self.out / "report.html").read_text()

    def files(self, folder="."):
        return sorted(str(path.relative_to(self.out)) for path in (self.out / folder).rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def report(tmp_path_factory, tiny_artifact):
    """Everything switched on: two view sets, suppression, training data, an earlier run, a training log."""
    root = tmp_path_factory.mktemp("benchmark")
    data = write_folder(root / "here", frames=5, seed=1, classes=range(2, 7), clutter=True)
    train = write_folder(root / "trained on", frames=3, seed=2)
    (root / "log.csv").write_text(LOG)
    evaluate(EvaluateConfig(tiny_artifact.path, data, tta="flip", json=root / "earlier.json"))
    config = BenchmarkConfig(
        tiny_artifact.path,
        data,
        root / "out",
        train_data=train,
        against=root / "earlier.json",
        tta=("none", "scales"),
        suppress_absent=True,
        training_log=root / "log.csv",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        with redirect_stdout(io.StringIO()) as printed:
            benchmark(config)
    return Report(config, printed.getvalue())


# ------------------------------------------------------------------------------------------- files
def test_everything_that_is_promised_is_there_and_nothing_else(report):
    figures = ["class_iou", "class_shares", "colours", "comparison", "confusion_matrix", "iou_by_band", "panels"]
    figures += ["reliability", "risk", "settings", "training_curves", "worst"]
    assert report.files("figures") == [f"figures/{name}.png" for name in figures]
    frames = [f"s{index:02}.png" for index in range(5)]
    assert report.files("predictions") == [f"predictions/{kind}/{name}" for kind in ("color", "raw") for name in frames]
    top = ["report.html", "results.json", "results_summary.txt", *(["report.pdf"] if BROWSER else [])]
    names = [".written.json", "figures", "predictions", *top]
    assert [path.name for path in sorted(report.out.iterdir())] == sorted(names)
    assert not [path for path in report.out.parent.iterdir() if path.name.startswith(".")]
    assert all(str(report.out / name) in report.printed for name in ["figures", "predictions", *top[:3]])


def test_the_raw_predictions_score_what_the_results_say(report):
    confusion = Confusion(7)
    for path in sorted((report.config.data / "Segmentation").iterdir()):
        raw = read_mask(report.out / "predictions" / "raw" / path.name)
        assert raw.dtype == np.uint8
        confusion.add(STONES.apply(read_mask(path)), raw)
        color = read_image(report.out / "predictions" / "color" / path.name)
        assert np.array_equal(color, STONES.labels.palette()[raw])
    first = report.results["passes"][0]
    assert first["confusion"] == confusion.counts.tolist()
    assert first["miou_present"] == confusion.scores().miou_present
    assert (
        sum(np.array(frame["confusion"]) for frame in report.results["frames"]).tolist()
        == confusion.counts.ravel().tolist()
    )


def test_every_figure_is_a_picture_of_some_size(report):
    for name in report.files("figures"):
        image = read_image(report.out / name)
        assert min(image.shape[:2]) > 300
        assert image.std() > 5


def test_settings_and_suppression_are_reported_under_both_conventions(report):
    plain, scales, suppressed = report.results["passes"]
    assert [each["tta"] for each in (plain, scales, suppressed)] == ["none", "scales", "none"]
    assert suppressed["suppressed"] == list(ABSENT)
    assert suppressed["hallucinated_share"] == 0 < plain["hallucinated_share"]
    for each in (plain, scales, suppressed):
        assert each["miou_all"] == pytest.approx(each["miou_present"] * 5 / 7)
    assert "gain" not in plain
    assert scales["gain"]["miou"]["value"] == pytest.approx(scales["miou_present"] - plain["miou_present"])
    text = (report.out / "results_summary.txt").read_text()
    for each in (plain, scales, suppressed):
        assert f"{each['miou_present']:.3f}" in text
        assert f"{each['miou_all']:.3f}" in text


def test_the_distance_from_the_training_data_names_the_absent_classes(report):
    gap = report.results["domain_gap"]
    assert list(gap["folders"]) == ["here", "trained on"]
    assert gap["folders"]["here"]["class_shares"]["Trees"] == 0 < gap["folders"]["trained on"]["class_shares"]["Trees"]
    assert gap["near_twins"] == 0
    assert re.search("<b>Only in trained on:</b>.*Trees.*Lush Bushes", report.page)


def test_the_comparison_is_with_the_earlier_run(report):
    comparison, earlier = report.results["comparison"], json.loads(report.config.against.read_text())
    difference = report.results["passes"][0]["miou_present"] - earlier["passes"][0]["miou_present"]
    assert comparison["miou"]["value"] == pytest.approx(difference)
    assert comparison["pass"] == "views flip"


def test_the_results_say_what_was_measured_with_what(report, tiny_artifact):
    results = report.results
    assert results["model"]["digest"] == tiny_artifact.digest
    assert results["data"]["absent"] == list(ABSENT)
    assert results["beside"].keys() == {"falcon7"}
    assert all(results["run"][key] for key in ("engine", "machine", "git", "created"))
    latency = results["passes"][0]["latency_ms"]
    assert 0 < latency["total"]["p50"] <= latency["total"]["p95"] <= latency["total"]["p99"]


def test_the_summary_fits_a_terminal_and_holds_the_headline(report):
    text = (report.out / "results_summary.txt").read_text()
    assert f"mIoU {report.results['passes'][0]['miou_present']:.4f}" in text
    tables = [line for line in text.splitlines() if re.match(r" \S+.* {2}", line)]
    assert tables
    assert max(map(len, tables)) <= 100


# ------------------------------------------------------------------------------------------- the page
def test_the_page_fetches_nothing_and_describes_every_picture(report):
    sources = re.findall(r'(?:src|srcset)="([^"]*)"', report.page)
    assert len(sources) > 30
    assert all(re.match(r"data:image/(png|jpeg|svg\+xml);base64,[A-Za-z0-9+/=]+$", source) for source in sources)
    bare = re.sub(r"data:image/[^\"]*", "", report.page)
    assert not re.search(r"http://|https://|url\(|@import|<link|<script", bare)
    assert all(re.search(r'alt="[^"]{4,}"', image) for image in re.findall(r"<img [^>]*>", bare))


@pytest.fixture(scope="module")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api")
    if BROWSER is None:
        pytest.skip("there is no Chromium here")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        yield browser
        browser.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "light"), (390, "dark")])
def test_in_a_browser_every_picture_shows_and_nothing_leaves_the_page(report, chromium, width, scheme):
    page = chromium.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    address = (report.out / "report.html").resolve().as_uri()
    page.goto(address)
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [address]
    shown = page.evaluate("[...document.images].map(i => [i.naturalWidth, i.clientWidth, i.currentSrc.slice(-400)])")
    assert len(shown) > 25
    assert all(natural > 0 and client > 100 for natural, client, _ in shown)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    themes = page.evaluate(
        "[...document.querySelectorAll('picture')].map(p => p.querySelector('img').currentSrc ==="
        " p.querySelector('source').srcset)"
    )
    assert themes == [scheme == "dark"] * len(themes)
    page.close()


def test_letters_are_large_enough_to_read_on_a_phone(report, chromium):
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.goto((report.out / "report.html").resolve().as_uri())
    sizes = page.evaluate(
        "[...document.querySelectorAll('p, td, th, dd, figcaption, .four span')]"
        ".map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 12
    page.close()


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")
def test_the_pdf_is_one(report):
    data = (report.out / "report.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    assert data.count(b"/Type /Page\n") >= 2 or len(data) > 50_000


# ------------------------------------------------------------------------------------------ less, again, and not at all
def small(tmp_path, tiny_artifact, **more):
    return BenchmarkConfig(tiny_artifact.path, write_folder(tmp_path / "set", frames=2), tmp_path / "out", **more)


@pytest.fixture
def no_browser(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


@pytest.mark.usefixtures("no_browser")
def test_all_view_sets_stand_beside_one_view_of_as_many_pixels_with_what_each_costs_and_gains(
    tmp_path, tiny_artifact, capsys
):
    config = small(tmp_path, tiny_artifact, tta=("all",))
    benchmark(config)
    passes = json.loads((config.out / "results.json").read_text())["passes"]
    assert [each["tta"] for each in passes] == ["none", "flip", "scales", "full", *["none"] * 4]
    pixels = [each["input_scale"] ** 2 for each in passes]
    assert pixels == pytest.approx([1, 1, 1, 1, 0.5, 2, 1 + 0.75**2 + 1.25**2, 2 * (1 + 0.75**2 + 1.25**2)])
    assert all({"miou", "verdict"} <= each["gain"].keys() for each in passes[1:])
    printed, page = capsys.readouterr().out, (config.out / "report.html").read_text()
    for name in ("views flip", "0.5 x the pixels", "6.2 x the pixels"):
        assert name in printed
        assert name in page


@pytest.mark.usefixtures("no_browser")
def test_the_speeds_of_a_model_are_compared(tmp_path, tiny_artifact):
    config = small(tmp_path, tiny_artifact, speed=("balanced", "fast", "fine"))
    benchmark(config)
    passes = json.loads((config.out / "results.json").read_text())["passes"]
    assert [each["name"] for each in passes] == ["single view", "0.25 x the pixels", "1.6 x the pixels"]
    assert [each["input_scale"] for each in passes] == [1.0, 0.5, 1.25]


@pytest.mark.usefixtures("no_browser")
def test_without_extras_and_without_a_browser_there_is_still_a_report(tmp_path, tiny_artifact, capsys):
    config = small(tmp_path, tiny_artifact, suppress_absent=True)
    write_image(config.data / "Segmentation" / "s01.png", np.full((96, 160), 700, np.uint16))
    benchmark(config)
    printed = capsys.readouterr().out
    assert "no class is suppressed: the truth holds all of them" in printed
    assert "no training curves: found no log.csv beside the artifact" in printed
    assert "no PDF: found none of chromium" in printed
    out = tmp_path / "out"
    names = {path.name for path in (out / "figures").iterdir()}
    charts = ("class_iou", "confusion_matrix", "iou_by_band", "panels", "reliability", "risk", "worst")
    assert names == {f"{name}.png" for name in charts}
    results = json.loads((out / "results.json").read_text())
    assert (results["comparison"], results["domain_gap"]) == (None, None)
    assert [frame["miou"] is None for frame in results["frames"]] == [False, True]  # the second is ignored throughout
    assert results["passes"][0]["worst_frames"] == ["s00"]
    assert not (out / "report.pdf").exists()


@pytest.mark.usefixtures("no_browser")
def test_a_new_run_replaces_the_old_one_and_nothing_else(tmp_path, tiny_artifact):
    config = small(tmp_path, tiny_artifact)
    benchmark(config)
    (config.out / "notes.txt").write_text("mine")
    killed = config.out.with_name(".out.partial") / "predictions" / "raw" / "of_a_killed_run.png"
    killed.parent.mkdir(parents=True)
    killed.write_bytes(b"")
    for path in (config.data / "Color_Images" / "s00.png", config.data / "Segmentation" / "s00.png"):
        path.rename(path.with_name("t00.png"))
    benchmark(config)
    assert (config.out / "notes.txt").read_text() == "mine"
    assert (config.out / "predictions" / "raw" / "t00.png").exists()
    assert not (config.out / "predictions" / "raw" / "s00.png").exists()
    assert not list(tmp_path.rglob("of_a_killed_run.png"))


@pytest.mark.usefixtures("no_browser")
def test_a_file_that_no_benchmark_wrote_is_never_removed(tmp_path, tiny_artifact):
    config = small(tmp_path, tiny_artifact)
    benchmark(config)
    notes = config.out / "figures" / "notes.txt"
    notes.write_text("mine")
    with pytest.raises(DataError, match=r"out: found figures/notes\.txt, expected nothing there"):
        benchmark(config)
    assert notes.read_text() == "mine"


@pytest.fixture
def files_stay_small():
    """The system refuses files above 30 kB, as a full disk would: masks fit, figures do not."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("no_browser")
def test_a_run_that_fails_in_the_middle_leaves_the_old_one_as_it_was(tmp_path, tiny_artifact, files_stay_small):
    config = small(tmp_path, tiny_artifact)
    benchmark(config)
    before = {path: path.read_bytes() for path in config.out.rglob("*") if path.is_file()}
    files_stay_small()
    with pytest.raises(OutputError, match=r"out: cannot be written \(File too large\)"):
        benchmark(config)
    assert {path: path.read_bytes() for path in config.out.rglob("*") if path.is_file()} == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def remove_masks(config):
    shutil.rmtree(config.data / "Segmentation")
    return config


def out_with_something_else(config):
    (config.out / "predictions").mkdir(parents=True)
    return config


def out_that_is_a_file(config):
    config.out.write_text("")
    return config


def train_data_without_use(config):
    train = config.data.parent / "train"
    write_folder(train, frames=1)
    path = train / "Segmentation" / "s00.png"
    path.write_bytes(path.read_bytes()[:50])
    return replace(config, train_data=train)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (remove_masks, "found Color_Images/ but no Segmentation/"),
        (out_with_something_else, "found predictions, expected nothing there that this command has not written; move"),
        (out_that_is_a_file, "is a file, expected a folder"),
        (train_data_without_use, r"found nothing usable among 1 frames \(first: Segmentation/s00.png"),
        (lambda config: replace(config, train_data=Path("nowhere")), "there is no folder nowhere"),
        (lambda config: replace(config, against=Path("nowhere.json")), "nowhere.json: cannot be read"),
        (lambda config: replace(config, training_log=Path("nowhere.csv")), "nowhere.csv: cannot be read"),
        (lambda config: replace(config, label_map="falcon10"), "label map falcon10 has classes"),
        (lambda config: replace(config, tta=()), "found --tta without a view set"),
        (lambda config: replace(config, speed=()), "found --speed without a name"),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured_or_written(tmp_path, tiny_artifact, change, said):
    config = change(small(tmp_path, tiny_artifact))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DesertSegError, match=said):
        benchmark(config)
    assert sorted(tmp_path.rglob("*")) == before
