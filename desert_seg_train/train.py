r"""Train the light network on labelled folders.

    python -m desert_seg_train.train --source FOLDER LABEL_MAP SHARE [FOLDER LABEL_MAP SHARE ...] \
        --encoder-weights tf_efficientnet_lite0_imagenet.safetensors --out runs/light

`runs/light/last.ckpt` is written after every epoch; `--resume` goes on from it. `desert_seg_train.package` turns it
into a model artifact.
"""

from desert_seg_train.cli import run
from desert_seg_train.config import TrainConfig


def train(config: TrainConfig) -> None:
    """Run the training of `desert_seg_train.training`, which needs torch."""
    from desert_seg_train.training import train as train_now

    train_now(config)


def main() -> None:
    """Command-line entry."""
    run(train, TrainConfig)


if __name__ == "__main__":
    main()
