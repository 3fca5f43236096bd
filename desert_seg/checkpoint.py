"""Reading what a training saved: a checkpoint of PyTorch, a .safetensors file, or smp's `save_pretrained` folder.

Only tensors and plain containers are read (`weights_only=True`); nothing is unpickled. `desert_seg.weights` finds the
weights in them. Needs torch.
"""

from __future__ import annotations

import os
import pickle
import re
import stat
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from desert_seg.errors import ArtifactError
from desert_seg.json_file import parse_json

_SAVE = "save model.state_dict() with torch.save"
_SMP_CONFIG, _SMP_WEIGHTS = "config.json", "model.safetensors"
_NOT_OPTIONS = ("classes", "encoder_name", "encoder_weights", "in_channels", "activation", "aux_params", "upsampling")
"""Entries of smp's config.json that are not options of the network, or only concern what follows its scores."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint.

    Args:
        path: A file that torch.save wrote, a .safetensors file, or a folder that smp's `save_pretrained` wrote.

    Returns:
        What it holds. That of a folder has the keys `network_config` (arguments of
        `desert_seg.network.NetworkConfig`) and `state_dict`; a .safetensors file is a state dict.

    Raises:
        ArtifactError: It is missing, damaged, too large, or holds more than tensors and plain containers.
    """
    _check_file(path)
    if path.is_dir():
        return _read_pretrained_folder(path)
    head = _head(path)
    if _is_safetensors(path, head):
        return _read_safetensors(path)
    _check_format(path, head)
    try:
        with path.open("rb") as file:  # of a path, torch reads the ending
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ArtifactError(_why_not_loaded(path, str(error))) from error
    except Exception as error:  # a damaged file makes the unpickler raise errors of any type
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise ArtifactError(f"{path}: cannot be read as a checkpoint ({reason}); copy it again, or {_SAVE}") from error
    if not isinstance(content, dict):
        raise ArtifactError(f"{path}: holds a {type(content).__name__}, expected a state dict; {_SAVE}")
    return content


def _check_file(path: Path) -> None:
    """Refuse what cannot be read into memory: an empty file, a pipe, a device, or a file larger than the memory."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise ArtifactError(f"there is no checkpoint {path}; check the path") from error
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be reached ({error.strerror}); check the path") from error
    if not os.access(path, os.R_OK):
        raise ArtifactError(f"{path}: may not be read by this user; change its permissions")
    if stat.S_ISDIR(status.st_mode):
        return
    if not stat.S_ISREG(status.st_mode):
        raise ArtifactError(f"{path}: is no regular file; give the checkpoint's file itself")
    size, memory = status.st_size, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size == 0:
        raise ArtifactError(f"{path}: is empty; copy it again")
    if size > memory:
        raise ArtifactError(
            f"{path}: has {size / 1e9:.0f} GB, more than this machine's {memory / 1e9:.0f} GB of memory; {_SAVE}, "
            "which leaves the optimiser out"
        )


def _head(path: Path) -> bytes:
    """The file's first bytes; raises ArtifactError for what a failed download often leaves in place of the file."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); copy it again") from error
    if head.startswith(b"version https://git-lfs"):
        raise ArtifactError(f"{path}: is a Git LFS pointer, not the checkpoint itself; fetch it with git lfs pull")
    if head.lstrip().startswith(b"<?xml"):
        raise ArtifactError(
            f"{path}: is an XML file, not a checkpoint; download the checkpoint itself, or, if this is a model of "
            f"OpenVINO, {_SAVE} where it was trained"
        )
    if head.lstrip()[:1] == b"<":
        raise ArtifactError(f"{path}: is a web page, not a checkpoint; download the file itself")
    if (parts := re.search(r"-(\d+)-of-(\d+)\.", path.name)) and int(parts[2]) > 1:
        raise ArtifactError(
            f"{path}: is one of {int(parts[2])} parts of a checkpoint; load them all where it was saved, and {_SAVE}"
        )
    return head


def _is_safetensors(path: Path, head: bytes) -> bool:
    """Whether the file begins as safetensors does, with a length and JSON, or is named so and nothing else."""
    is_named_so = path.suffix == ".safetensors"
    return head[8:9] == b"{" or (is_named_so and not head.startswith((b"PK", b"\x80")))


def _check_format(path: Path, head: bytes) -> None:
    """Refuse what torch.save did not write, by its first bytes, and what has changed since, by its checksums."""
    if head.startswith(b"\x80"):  # pickle, as torch.save wrote it before version 1.6
        return
    if head.lstrip()[:1] == b"{":
        raise ArtifactError(f"{path}: is a JSON file, which describes weights and holds none; give the file of weights")
    if not head.startswith(b"PK"):
        raise ArtifactError(f"{path}: is no checkpoint of PyTorch, by its first bytes {head[:8]!r}; {_SAVE}")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            # Before the checksums, because compressed entries may unpack to any size.
            is_foreign = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
            damaged = None if is_foreign else archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise ArtifactError(f"{path}: is damaged or cut short ({error}); copy it again") from error
    names = [entry.filename for entry in entries]
    if any(name.endswith("/constants.pkl") for name in names):
        raise ArtifactError(f"{path}: is a TorchScript program, not a checkpoint; {_SAVE} where it was made")
    if any(name.endswith("/archive_format") for name in names):
        raise ArtifactError(
            f"{path}: is a program that torch.export saved, not a checkpoint; {_SAVE} where it was made"
        )
    if any(name.endswith(".npy") for name in names):
        raise ArtifactError(f"{path}: holds NumPy arrays; load them into the model, and {_SAVE}")
    if is_foreign or not any(name.endswith("/data.pkl") for name in names):
        raise ArtifactError(f"{path}: is an archive, not a checkpoint; unpack it and give the checkpoint inside")
    if damaged is not None:
        raise ArtifactError(f"{path}: was changed after it was saved (checksum of {damaged}); copy it again")


def _why_not_loaded(path: Path, reason: str) -> str:
    found = re.search(r"GLOBAL (\S+)", reason)
    if found is None:
        return f"{path}: is damaged, or holds more than tensors, which is never loaded; copy it again, or {_SAVE}"
    return (
        f"{path}: holds Python objects beside tensors ({found.group(1)}), which are never loaded; {_SAVE}, and "
        "nothing else"
    )


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ArtifactError(f"{path}: cannot be read as safetensors ({reason}); copy it again") from error


_DIVIDED = {
    "*.distcp": "python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE",
    "*/*_model_states.pt": "python zero_to_fp32.py . FILE, in the folder",
}
"""What lies in a folder of a checkpoint that is divided among processes, and what makes one file of it."""


def _read_pretrained_folder(path: Path) -> dict[str, Any]:
    for pattern, command in _DIVIDED.items():
        if any(path.glob(pattern)):
            raise ArtifactError(
                f"{path}: holds a checkpoint that is divided among processes; make one file of it ({command})"
            )
    missing = [name for name in (_SMP_CONFIG, _SMP_WEIGHTS) if not (path / name).is_file()]
    if missing:
        raise ArtifactError(
            f"{path}: is no model artifact, nor what smp's save_pretrained wrote (it lacks {' and '.join(missing)}); "
            "give one of these folders, or a checkpoint's file"
        )
    try:
        config = parse_json((path / _SMP_CONFIG).read_text(encoding="utf-8"))
        network = {
            "architecture": config["_model_class"],
            "encoder": config["encoder_name"],
            "num_classes": config["classes"],
            "options": {
                name: value for name, value in config.items() if name not in _NOT_OPTIONS and not name.startswith("_")
            },
        }
        channels = config.get("in_channels", 3)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArtifactError(
            f"{path / _SMP_CONFIG}: is not what smp's save_pretrained writes ({type(error).__name__}: {error}); save "
            "the model again"
        ) from error
    if channels != 3:
        raise ArtifactError(f"{path}: is a model for {channels} channels, expected 3; train one on RGB")
    _check_file(path / _SMP_WEIGHTS)
    _head(path / _SMP_WEIGHTS)
    return {"network_config": network, "state_dict": _read_safetensors(path / _SMP_WEIGHTS)}
