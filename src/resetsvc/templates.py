"""Pages and mails are Jinja templates: ours, or those of the same name in the operator's folder."""

from functools import cache
from pathlib import Path

from jinja2 import (
    BytecodeCache,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    Template,
    select_autoescape,
)
from jinja2.bccache import Bucket

from resetsvc.i18n import SOURCE_LANGUAGE, Languages


class _Compiled(BytecodeCache):
    """What templates were compiled to, kept for all languages and all apps of a process: compiling takes 45 ms of a start."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])  # ignored by itself if the source changed

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


_compiled = _Compiled()


class Templates:
    """Finds a template in a language. Each is compiled once for each language."""

    def __init__(self, languages: Languages, override: Path | None = None) -> None:
        self.languages = languages
        loader = PackageLoader("resetsvc", "templates")
        self._loader = ChoiceLoader([FileSystemLoader(override), loader]) if override else loader
        self.get = cache(self._get)
        self._environment = cache(self._make_environment)

    def compile_pages(self) -> None:
        """Compile every page; raises jinja2.TemplateError for one that is broken."""
        environment = self._environment(SOURCE_LANGUAGE)
        for name in environment.list_templates(filter_func=lambda name: name.startswith("pages/")):
            environment.get_template(name)

    def _get(self, name: str, language: str) -> Template:
        return self._environment(language).get_template(name)

    def _make_environment(self, language: str) -> Environment:
        environment = Environment(
            loader=self._loader,
            autoescape=select_autoescape(enabled_extensions=("html",), default=False),
            undefined=StrictUndefined,  # a typing error in a template is an error, not an empty place
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=False,
            extensions=["jinja2.ext.i18n"],
            auto_reload=False,
            cache_size=-1,
            bytecode_cache=_compiled,
        )
        catalog = self.languages.catalog(language)
        environment.install_gettext_callables(  # type: ignore[attr-defined]  # added by the i18n extension
            catalog.ugettext, catalog.ungettext, newstyle=True
        )
        return environment
