"""What the experiments compute themselves; their trainings are those of `desert-seg train`."""

import numpy as np
import pytest
import torch
from labelled_folder import write_folder

from desert_seg.artifact import load_artifact
from desert_seg.ground import GroundCamera, Lens, obstacle_points, pitched_down
from desert_seg.labels import load_label_map
from desert_seg.network import NetworkConfig, SegmentationNetwork
from desert_seg_train.folder import SegmentationFolder
from desert_seg_train.saving import save_network
from experiments.counts import Counts, read_counts, write_counts
from experiments.finish import LABEL_MAP, averaged, tried, with_offset
from experiments.ground import nearest_by_cloud, nearest_by_depth
from experiments.protocol import FOLDS, read_arms
from experiments.test_time import MAX_BIAS, WAYS, class_shares, estimate_priors, guarded_bias, prepare

LABELS = load_label_map("falcon7").labels.names


def probabilities(shares, trained_on, number=20_000):
    """Posteriors of a perfect classifier of overlapping classes, for pixels drawn with other shares than it learned."""
    generator = np.random.default_rng(0)
    classes = generator.choice(len(shares), number, p=shares)
    value = generator.normal(2.0 * classes, 1.0)
    likelihood = np.exp(-0.5 * (value[:, None] - 2.0 * np.arange(len(shares))) ** 2)
    joint = likelihood * trained_on
    return joint / joint.sum(1, keepdims=True)


def test_shares_of_a_place_are_found_from_the_predictions_of_a_model_that_learned_others():
    trained_on, shares = np.array([0.6, 0.3, 0.1]), np.array([0.1, 0.2, 0.7])
    likely = probabilities(shares, trained_on)
    assert np.abs(likely.mean(0) - shares).max() > 0.05, "the plain mean is not enough"
    assert estimate_priors(likely, trained_on) == pytest.approx(shares, abs=0.02)


def test_a_correction_never_argues_obstacles_away_and_goes_no_further_than_its_limit():
    trained_on = np.full(7, 1 / 7)
    shares = np.array([0.001, 0.001, 0.5, 0.1, 0.001, 0.3, 0.097])
    bias = dict(zip(LABELS, guarded_bias(shares, trained_on, LABELS), strict=True))
    assert bias["Trees"] == bias["Rocks"] == 0
    assert bias["Lush Bushes"] == -MAX_BIAS
    assert 0 < bias["Dry Grass"] < MAX_BIAS


@pytest.fixture
def frames(tmp_path):
    return SegmentationFolder(write_folder(tmp_path / "frames"), load_label_map("falcon7_stones"))


def test_batch_norm_statistics_are_moved_towards_those_of_the_place_by_their_share(tiny_artifact, frames, tmp_path):
    def scores(way):
        segmenter, options = prepare(way, tiny_artifact.path, frames, class_shares(frames), tmp_path / "changed")
        return segmenter.score([frames[0].image], options)[0].scores.copy()

    plain, little, more = (scores(WAYS[name]) for name in ("", "alpha_bn_0.1", "alpha_bn_0.3"))
    assert 0 < np.abs(little - plain).mean() < np.abs(more - plain).mean()
    assert load_artifact(tiny_artifact.path).digest == tiny_artifact.digest, "the model itself stays"


def test_every_scene_is_held_out_once_and_every_arm_differs_from_the_others():
    assert sorted(scene for scenes in FOLDS.values() for scene in scenes) == ["cc", "mt", "w", "ww"]
    recipes = [repr((arm.label_map, sorted(arm.sources.items()), arm.train)) for arm in read_arms().values()]
    assert len(set(recipes)) == len(recipes)


def test_counts_come_back_as_they_were_kept(tmp_path):
    counts = {"cc": Counts(("a", "b"), np.arange(2 * 2 * 7 * 8, dtype=np.int64).reshape(2, 2, 7, 8))}
    write_counts(tmp_path / "counts.npz", counts)
    found = read_counts(tmp_path / "counts.npz")
    assert found["cc"].names == ("a", "b")
    np.testing.assert_array_equal(found["cc"].matrices, counts["cc"].matrices)


@pytest.fixture(scope="module")
def two_models(tmp_path_factory):
    """Artifacts of the light network with random weights."""
    config = NetworkConfig("DeepLabV3Plus", "timm-tf_efficientnet_lite0", 7, (0.5,) * 3, (0.5,) * 3)
    paths = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        paths.append(tmp_path_factory.mktemp("model") / str(seed))
        save_network(paths[-1], SegmentationNetwork(config), "random", (64, 96), LABEL_MAP, with_graph=False)
    return paths


def test_the_average_of_models_lies_in_the_middle_of_their_weights_and_of_one_model_is_itself(two_models):
    first, second, middle = (
        averaged(paths).state_dict() for paths in ((two_models[0],), (two_models[1],), tuple(two_models))
    )
    for name, value in middle.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (first[name] + second[name]) / 2)


def test_an_offset_that_was_tried_and_one_folded_into_the_weights_give_the_same_masks(two_models, frames, tmp_path):
    offsets = (0.0, 0.4)
    plain, raised = tried(two_models[0], frames.root, offsets)
    network = averaged((two_models[0],))
    with_offset(network, offsets[1])
    save_network(tmp_path / "folded", network, "folded", (64, 96), LABEL_MAP, with_graph=False)
    folded = tried(tmp_path / "folded", frames.root, (0.0,))[0]
    rocks = LABEL_MAP.labels.index("Rocks")
    assert plain[:, :, rocks].sum() < raised[:, :, rocks].sum(), "more pixels are called rocks"
    assert np.abs(folded - raised).sum() <= 0.002 * raised.sum()


def test_on_a_flat_world_the_distances_by_depth_and_by_the_cloud_are_the_same():
    lens, down = Lens(np.array([[60.0, 0, 39.5], [0, 60.0, 29.5], [0, 0, 1]])), pitched_down(15)
    rows, columns = np.mgrid[:60, :80]
    falling = lens.rays(columns.ravel().astype(float), rows.ravel().astype(float)) @ down
    depth = np.where(falling > 0, 1.5 / np.maximum(falling, 1e-9), 0).reshape(60, 80)
    lethal = np.zeros((60, 80), bool)
    lethal[35:50, 10:20], lethal[20:40, 60] = True, True
    costs = np.where(lethal, 254, 0).astype(np.uint8)
    points = obstacle_points(costs, GroundCamera(lens, down, 1.5), 100.0).astype(float)
    true, found = nearest_by_depth(lethal, depth, lens, down), nearest_by_cloud(points, lens, down, 80, 1.5)
    assert np.isfinite(true).sum() == 11
    assert found == pytest.approx(true, abs=1e-3)
