"""Pages: a template, the words that all of them share, and the addresses of static files."""

import hashlib
from functools import cache
from pathlib import Path

from resetsvc.settings import Settings
from resetsvc.templates import Templates
from resetsvc.web.asked import asked

STATIC = Path(__file__).parent.parent / "static"


class Pages:
    """Renders pages in the language that the browser asks for."""

    def __init__(self, settings: Settings, templates: Templates) -> None:
        self._templates = templates
        self.languages = templates.languages
        self._base = settings.base_path
        self._shared = {
            "product_name": settings.product_name,
            "login_url": settings.login_url,
            "base": settings.base_path,
            "static": cache(self._static_url),
        }

    def language(self) -> str:
        """The language of the request being answered."""
        return self.languages.from_header(asked().said(b"accept-language"))

    def render(self, name: str, **context: object) -> str:
        """Render `pages/<name>.html` for the request being answered."""
        language = self.language()
        template = self._templates.get(f"pages/{name}.html", language)
        return template.render({**self._shared, "locale": language, **context})

    def _static_url(self, name: str) -> str:
        digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
        return f"{self._base}/static/{name}?v={digest}"
