"""What MkDocs does not know of our pages; a hook of mkdocs.yml.

Pages are read on the forge as well, where a link may lead out of docs/ to a file of the repository. The site holds no
such files, so there the link becomes the file's name.
"""

from __future__ import annotations

import re
from typing import Any


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The page's text without links to files that are not on the site."""
    depth = page.file.src_uri.count("/")
    links = re.compile(rf"\[([^\]]+)\]\((?:\.\./){{{depth + 1}}}([\w./-]+)(?:#[\w-]+)?\)")
    return links.sub(lambda link: f"`{link[1]}`" if link[1] == link[2] else f"{link[1]} (`{link[2]}`)", markdown)
