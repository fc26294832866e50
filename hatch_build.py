"""What the wheel holds beside the sources: the compiled catalogues of the pages."""

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileCatalogues(BuildHookInterface):  # type: ignore[type-arg]
    """Compiles the catalogues before they are packed; a checkout compiles its own when the pages start."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling; `version` is "editable" where the checkout itself is installed."""
        if version == "editable":
            return
        path = Path(self.root) / "web" / "catalogues.py"
        spec = importlib.util.spec_from_file_location("catalogues", path)
        assert spec
        assert spec.loader
        catalogues = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(catalogues)
        catalogues.compile_stale()
