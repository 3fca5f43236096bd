"""What a site was begun with, so that another recording or model never goes on in its folder."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from desert_seg.artifact import Artifact
from desert_seg.errors import DataError
from desert_seg.files import write_text
from desert_seg.json_file import parse_json
from desert_seg_train.predict.inputs import find_chunks
from desert_seg_train.site.config import SiteConfig
from desert_seg_train.written import refuse_foreign

RECORD = "site.json"


def begin(config: SiteConfig, artifact: Artifact, entries: Collection[str]) -> None:
    """Begin a site, or make sure that it is the one that was begun in its folder.

    Args:
        config: The site.
        artifact: The model that it begins with.
        entries: Everything that is ever written in its folder.

    Raises:
        DataError: There is no recording, or the folder holds another site or other files.
    """
    if not config.inputs:
        raise DataError("found no recording, expected a bag or a folder of images; name it before the options")
    if config.count < 1:
        raise DataError(f"found {config.count} for count, expected 1 or more; give --count a larger number")
    path = config.out / RECORD
    content = {
        "inputs": [str(Path(text).absolute()) for text in config.inputs],
        "topic": config.topic,
        "count": config.count,
        "model": artifact.digest,
    }
    if path.exists():
        _compare(path, content)
        return
    refuse_foreign(config.out, entries, (), "--out")
    for text in config.inputs:
        find_chunks(text, config.topic)
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _compare(path: Path, content: dict[str, Any]) -> None:
    """Raise DataError if the site was begun with something else."""
    try:
        earlier = dict(parse_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: is not readable ({error}); choose another --out") from error
    for name, value in content.items():
        if earlier.get(name) != value:
            raise DataError(
                f"{path.parent}: found {name} {_shown(value)}, expected {_shown(earlier.get(name))}, with which it was "
                "begun; choose another --out"
            )


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else repr(value)
