"""Every name in the pages about robots is one the code knows, and so is every quoted sentence."""

import ast
import re
from dataclasses import fields

import pytest
import yaml
from conftest import ROOT

from desert_seg_ros.budget import Effort
from desert_seg_ros.health import STAGES, UNSTAMPED, Health, Surroundings, Timing
from desert_seg_ros.parameters import NodeParameters
from desert_seg_ros.topics import CLOUDS, IMAGES

PAGES = [ROOT / "docs" / name for name in ("integration.md", "cameras.md", "readers.md", "troubleshooting.md")]
*_TEXTS, TROUBLESHOOTING = (page.read_text() for page in PAGES)
INTEGRATION = "\n".join(_TEXTS)
NAMES = {*IMAGES, *CLOUDS, "camera_info", "timing", "label_info", "label_info_json", "enable", "reload_model"}
PARAMETERS = {item.name for item in fields(NodeParameters)}
PACKAGE = ROOT / "desert_seg_ros"


def texts(pattern, folder=PACKAGE):
    """Every string in some files of code; one that is written in several parts is whole."""
    nodes = [node for path in sorted(folder.glob(pattern)) for node in ast.walk(ast.parse(path.read_text()))]
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def everything_amiss():
    """A report for each thing that can be said."""
    now = [0.0]
    health = Health(clock=lambda: now[0])
    yield health.report()
    yield health.report(Surroundings(num_publishers=0))
    health.frame_in(stamp_ns=10**9, age_s=0)
    now[0] += 10
    yield health.report()

    def while_images_come(around=None, age_s=0.0):
        now[0] += 1
        health.frame_in(stamp_ns=round(now[0] * 1e9), age_s=age_s)
        return health.report(around or Surroundings())

    yield while_images_come()
    for cause in ("overload", "stale", "disabled", "bad_frame"):
        health.drop(cause, "found nothing" if cause == "bad_frame" else "")
        yield while_images_come()
    for around in (
        Surroundings(min_rate_hz=5.0),
        Surroundings(busy_s=7.0),
        Surroundings(effort=str(Effort("none", 0.75))),
        Surroundings(failure="out of memory"),
        Surroundings(is_active=False),
    ):
        yield while_images_come(around)
    health.frames_lost(3)
    yield while_images_come()
    health.frame_not_finite()
    yield while_images_come()
    health.frame_in(stamp_ns=5 * 10**8, age_s=0)
    yield while_images_come()
    health.frame_in(stamp_ns=round(now[0] * 1e9), age_s=0)
    health.report()
    for _ in range(UNSTAMPED):
        health.frame_in(stamp_ns=0, age_s=4e9)
    yield health.report()
    for age_s in (4e6, -4e6):
        health.clock_jumped()
        while_images_come(age_s=age_s)
        yield while_images_come(age_s=age_s)
    health.clock_jumped()
    yield while_images_come()
    health.frame_out(Timing((0.0,) * len(STAGES), 0.0), shift=3.0)
    yield while_images_come()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_topic_and_service_of_the_node_that_is_named_exists(page):
    text = page.read_text()
    named = set(re.findall(r"~/(?:front/|left/)?([a-z_]\w*)", re.sub(r"~/(ws|models)\b", "", text)))
    named |= set(re.findall(r"/segment/(\w+)", text))
    assert named
    assert named <= NAMES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_parameter_that_is_given_a_value_exists_and_may_have_it(page):
    given = re.findall(r"`(\w+): ([\w.]+)`", page.read_text())
    given += re.findall(r"ros2 param set /segment (\w+) (\S+?)`", page.read_text())
    given += [(name, "") for name in re.findall(r'segment_node .*?-p "?(\w+):=', page.read_text())]
    assert given or page.name == "cameras.md"
    assert {name for name, _ in given} <= PARAMETERS
    NodeParameters().changed({name: yaml.safe_load(value) for name, value in given if value})


def test_every_launch_argument_that_is_named_exists():
    launch = (ROOT / "launch" / "segment.launch.py").read_text()
    commands = re.sub(r"\\\n", " ", INTEGRATION)
    typed = re.findall(r"segment\.launch\.py (.*)", commands) + re.findall(r"docker run .* desert_seg (.*)", commands)
    quoted = re.findall(r"`(\w+):=[^`]*`", INTEGRATION + TROUBLESHOOTING)
    named = {*re.findall(r"(\w+):=", " ".join(typed)), *quoted}
    assert named
    assert [name for name in named if f'"{name}"' not in launch] == []


def test_every_preset_and_generated_file_in_the_table_exists():
    rows = re.findall(r"^\| [^|]+ \| (\w+\.yaml) \|([^|]*)\|[^|]*\|$", INTEGRATION, re.MULTILINE)
    assert {preset for preset, _ in rows} == {path.name for path in (ROOT / "config" / "presets").iterdir()}
    generated = {name for _, cell in rows for name in cell.strip().split(", ") if name}
    assert generated == set(
        re.findall(r'^ +"(\w+\.\w+)": ', (ROOT / "desert_seg" / "consumers.py").read_text(), re.MULTILINE)
    )


def test_the_table_of_what_diagnostics_say_has_every_message_at_its_level_and_no_other():
    rows = re.findall(r"^\| `(.+?)` \| (\w+) \|", TROUBLESHOOTING, re.MULTILINE)
    patterns = {message: re.escape(message).replace("…", ".+") for message, _ in rows}
    seen = set()
    for report in everything_amiss():
        found = [row for row in rows if re.fullmatch(patterns[row[0]], report.message)]
        assert found, report.message
        assert {level for _, level in found} == {("OK", "WARN", "ERROR", "STALE")[report.level]}, report.message
        seen |= {message for message, _ in found}
    others = {message for message, _ in rows} - seen
    calibration = {message for message in others if message.startswith("camera_info is for … pixels")}
    assert "another shape, so none is published beside the masks" in " ".join(calibration)
    uncalibrated = {message for message in others if message.startswith("camera_info ")} - calibration
    assert len(uncalibrated) == 2
    for message in (*calibration, *uncalibrated):
        ending = re.split("images have …, ", message)[-1].rstrip("…: ")
        assert ending in " ".join(texts("messages.py"))
    others -= uncalibrated
    others -= calibration
    crowded = {message for message in others if "publishers" in message or message.startswith("use_sim_time")}
    said = " ".join((*texts("rivals.py"), *texts("diagnostics.py")))
    assert len(crowded) == 3
    assert all(part.strip(" :,)(") in said for message in crowded for part in message.split("…"))
    others -= crowded
    pictures = {message for message in others if message.startswith("images of … ")}
    assert len(pictures) == 2
    assert all(
        part in " ".join(texts("picture_fault.py", ROOT / "desert_seg" / "recordings"))
        for each in pictures
        for part in each.split("…")
    )
    others -= pictures
    (withheld,) = (message for message in others if message.startswith("~/obstacles"))
    assert withheld.removesuffix("…") in texts("camera.py")
    others -= {withheld}
    kinds = {message for message in others if message.startswith("… publishes … on …, ")}
    assert len(kinds) == 2
    for part in (part for message in kinds for part in message.split("…") if len(part) > 5):
        assert part.strip() in " ".join(texts("input_kind.py")), part
    others -= kinds
    assert len(others) == 2
    assert all("another quality of service, so nothing arrives (" in message for message in others)
    assert "with another quality of service, so nothing arrives (" in " ".join(texts("qos_watch.py"))


def test_every_message_that_has_a_place_of_its_own_in_troubleshooting_is_printed_somewhere():
    files = ("*.py", PACKAGE), ("**/*.py", ROOT / "desert_seg"), ("bootstrap.py", ROOT / "scripts")
    code = " ".join(text for pattern, folder in files for text in texts(pattern, folder))
    messages = re.findall(r"^- \*\*`([^`]+)`\*\*", TROUBLESHOOTING, re.MULTILINE)
    assert len(messages) > 5
    for message in messages:
        for part in message.replace("openvino", "…").split("…"):
            assert part.strip() in code, part


def test_every_diagnostic_value_that_is_named_is_published():
    code = (PACKAGE / "health.py").read_text()
    causes = set(re.findall(r"dropped_(\w+)", TROUBLESHOOTING))
    assert causes <= set(re.search(r"DROP_CAUSES = \((.+?)\)", code)[1].replace('"', "").split(", "))
    for name in (
        "frames_lost",
        "stamps_back",
        "clock_jumps",
        "unstamped",
        "domain_shift",
        "publishers",
        "effort",
        "last_error",
        "age_s",
    ):
        assert f"`{name}`" in TROUBLESHOOTING
        assert f'"{name}"' in code
    stages = re.findall(r"`(\w+)_ms_p\d\d`", TROUBLESHOOTING)
    assert stages
    assert all(f'"{stage}"' in code for stage in stages)


def test_every_link_leads_to_a_heading_there_is():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    links = [(page, *link) for page in pages for link in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", page.read_text())]
    assert len(links) > 30
    for page, file, anchor in links:
        target = (page.parent / file).resolve() if file else page
        headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
        slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in slugs, (page.name, anchor)


@pytest.mark.parametrize("template", sorted(ROOT.glob("desert_seg_*/**/*.html.j2")), ids=lambda path: path.parent.name)
def test_every_page_that_a_command_writes_follows_the_dark_setting_of_its_reader(template):
    text = template.read_text()
    assert '<meta name="color-scheme" content="light dark">' in text
    assert "@media (prefers-color-scheme: dark)" in text
