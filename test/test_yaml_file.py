"""Reading YAML: what is within bounds is read as PyYAML reads it, and nothing else gets in."""

import os
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from desert_seg.errors import DataError
from desert_seg.labels import load_label_map
from desert_seg.traversability import read_policy
from desert_seg.yaml_file import MAX_BYTES, MAX_DEPTH, MAX_VALUES, find_yaml, read_yaml
from desert_seg_train.synth.worlds import load_world
from desert_seg_train.train.config import TrainConfig
from desert_seg_train.yaml_config import read_yaml_config

READERS = {
    "plain": read_yaml,
    "label map": load_label_map,
    "policy": read_policy,
    "recipe": lambda path: read_yaml_config(TrainConfig, path),
    "world": load_world,
}


def laughs(levels, width=10):
    """Lists of aliases of lists of aliases: `width` to the power of `levels` values in a few lines."""
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]" for level in range(1, levels)]
    return "\n".join(lines)


def merges(levels):
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, levels)]
    return "\n".join(lines)


BOMBS = {
    "aliases": laughs(9),
    "merges": merges(9),
    "a_long_text_many_times": f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 9000)}]",
    "brackets": "[" * 200_000,
    "braces": "{a: " * 50_000,
    "dashes": "- " * 100_000,
    "questions": "? " * 100_000,
    "many_values": "[" + "a," * 100_000 + "]",
    "a_number_without_end": "1" * 200_000,
    "a_number_to_the_base_of_sixty": "!!int 1" + ":1" * 100_000,
    "itself": "&a [*a]",
    "itself_as_a_value": "name: &a {inner: *a}",
    "too_long": "# " + "x" * 2_000_000,
}


def refusal(path, text, reader=read_yaml):
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DataError) as caught:
        reader(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    assert len(sentence) < 500 + len(str(path))
    return sentence.removeprefix(f"{path}: ")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("yaml") / "file.yaml"


READ_IN_LITTLE_MEMORY = """
import resource, sys, time
from pathlib import Path
from desert_seg.errors import DataError
from desert_seg.yaml_file import read_yaml

resource.setrlimit(resource.RLIMIT_AS, (200_000_000, 200_000_000))
for path in sorted(Path(sys.argv[1]).iterdir()):
    began = time.process_time()
    try:
        read_yaml(path)
    except DataError as error:
        print(path.stem, round(time.process_time() - began, 2), error)
"""


def test_bombs_are_refused_soon_and_in_little_memory(tmp_path):
    for name, text in BOMBS.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    command = [sys.executable, "-c", READ_IN_LITTLE_MEMORY, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(BOMBS)
    assert all(float(line.split()[1]) < 10 for line in lines), done.stdout


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("bomb", ["aliases", "brackets", "itself"])
def test_every_reader_of_yaml_refuses_bombs(path, bomb, reader):
    refusal(path, BOMBS[bomb], READERS[reader])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: 2\na: 3", "found 'a' again in line 3, expected each key once"),
        ("values:\n  7: x\n  0x7: y", "found 7 again in line 3"),
        ("a: {b: 1, b: 1}", "found 'b' again in line 1"),
        ("[1, 2]: x", "found a list or mapping as a key in line 1, expected text or a number"),
        ("a: 1\nb: [", "not readable as YAML (line 2: "),
        ("a: 1\nb: *c", "not readable as YAML (line 2: found undefined alias 'c')"),
        ("a: !!python/object/apply:os.system [true]", "not readable as YAML (line 1: could not determine"),
        ("a: !!timestamp 2001-99-99", "not readable as YAML (month must be in 1..12); fix the file"),
        ("a: !!int ''", "not readable as YAML (string index out of range); fix the file"),
        ("a: !!bool maybe", "not readable as YAML ('maybe'); fix the file"),
        ("a: \x07", "not readable as YAML (unacceptable character"),
        ("a\n---\nb", "not readable as YAML (line 2: but found another document)"),
        (b"a: \xff", "found a byte that is not UTF-8 at 3; save the file as UTF-8"),
        ("&a [*a]", "what begins in line 1 contains itself through an alias"),
        (laughs(9), f"found more than {MAX_VALUES} values, aliases written out"),
        ("[" * 999, f"found values nested more than {MAX_DEPTH} deep"),
        ("9" * 101, "found a number of 101 characters in line 1, expected at most 100; put quotes around it"),
        ("#" * (MAX_BYTES + 1), f"found {MAX_BYTES + 1} bytes, expected at most {MAX_BYTES} of YAML"),
    ],
)
def test_what_is_refused_is_answered_with_its_place_and_a_cure(path, text, sentence):
    assert refusal(path, text).startswith(sentence)


def test_what_is_no_regular_file_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(DataError, match=r"pipe\.yaml: found a pipe or a device, expected a YAML file"):
        read_yaml(tmp_path / "pipe.yaml")
    with pytest.raises(DataError, match="found a folder, expected a YAML file"):
        read_yaml(tmp_path)
    with pytest.raises(DataError, match="found a pipe or a device"):
        load_label_map(tmp_path / "pipe.yaml")
    with pytest.raises(DataError, match=r"nowhere\.yaml: cannot be read \(No such file or directory\)"):
        read_policy(tmp_path / "nowhere.yaml")
    with pytest.raises(DataError, match="embedded null"):
        load_label_map("\0.yaml")


def test_anchors_and_merges_within_bounds_are_read_as_yaml_means_them(path):
    path.write_text("base: &base {rate: 1, size: [1, 2]}\nother: {<<: *base, rate: 2}\nagain: [*base, *base]")
    content = read_yaml(path)
    assert content["other"] == {"rate": 2, "size": [1, 2]}
    assert content["again"] == [content["base"]] * 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("On", "On"),
        ("0254", "0254"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2001-01-01", "2001-01-01"),
        ("-.5", "-.5"),
        ("1e-4", "1e-4"),
        ("true", True),
        ("~", None),
        ("254", 254),
        ("0xFF", 255),
        ("-1.5e-3", -0.0015),
        (".5", 0.5),
    ],
)
def test_a_value_means_what_it_looks_like(path, text, value):
    path.write_text(f"a: {text}\n{text}: b")
    assert read_yaml(path) == {"a": value, value: "b"}


def test_a_policy_takes_only_plain_whole_numbers(path):
    for cost in ("0254", "1:30", "yes", "'7'", "1.0", "256"):
        assert refusal(path, f"Rocks: {cost}", read_policy).endswith(
            "as the cost of 'Rocks', expected a whole number from 0 to 255; "
            "write it without quotes, leading zeros or a point"
        )
    assert refusal(path, "7: 200", read_policy).startswith("found 7 as the name of a class, expected text")
    assert refusal(path, "[1]", read_policy).startswith("found no mapping of class names to costs")


def test_an_empty_file_is_nothing(path):
    path.write_text("# nothing yet\n")
    assert read_yaml(path) is None


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN)
def test_plain_data_survives_the_way_through_a_file(path, data):
    path.write_text(yaml.safe_dump(data))
    assert read_yaml(path) == data


WORDS = ["a", "1", "0b_", "1:1", ".inf", "2001-13-01", "name", "values", "classes", "color", "geologies", "kind", "<<"]
MARKS = ["&a ", "*a ", "!!int ", "!!set ", "!!timestamp ", "!!binary ", "!x ", "%YAML 9.9", "---", "...", "|", ">"]
SIGNS = ["[", "]", "{", "}", ": ", "- ", "? ", ", ", "\n", "\n  ", "\t", "'", '"', "#", "\0", "\ufeff", "\x85"]
SYNTAX = st.lists(st.sampled_from([*WORDS, *MARKS, *SIGNS]), max_size=30).map("".join)


@given(st.text() | SYNTAX, st.sampled_from(sorted(READERS)))
def test_no_text_gets_anything_but_an_answer_or_a_refusal(path, text, reader):
    path.write_bytes(text.encode())
    try:
        READERS[reader](path)
    except DataError as error:
        assert str(error)


@given(st.binary())
def test_no_bytes_get_anything_but_an_answer_or_a_refusal(path, content):
    path.write_bytes(content)
    try:
        read_yaml(path)
    except DataError as error:
        assert str(error).startswith(f"{path}: ")


def test_a_shipped_file_is_found_by_name_and_another_by_path(tmp_path):
    (tmp_path / "one.yaml").write_text("1")
    assert find_yaml("one", tmp_path, "thing") == tmp_path / "one.yaml"
    assert str(find_yaml("else/two.yml", tmp_path, "thing")) == "else/two.yml"
    with pytest.raises(DataError, match=r"there is no thing 'two'; give the path of a YAML file or one of: one"):
        find_yaml("two", tmp_path, "thing")
