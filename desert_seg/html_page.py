"""HTML pages of one file with everything inside, which open anywhere and fetch nothing."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def fill_template(template: Path, filters: Mapping[str, Callable[..., Any]], **content: Any) -> str:
    """Fill a Jinja template; text is escaped, and a missing value is an error.

    Args:
        template: The file.
        filters: What the template calls, by name.
        content: What the template names.
    """
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(template.name).render(content)


def data_uri(kind: str, image: bytes) -> str:
    """An encoded image as a data URI; `kind` is the second half of its MIME type: jpeg, png or svg+xml."""
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
