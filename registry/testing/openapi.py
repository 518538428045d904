"""`python -m registry.testing.openapi > docs/openapi.yaml`: the document of a whole registry."""

import sys
import tempfile
from pathlib import Path

from registry.testing.registry import registry_in_memory
from registry.web.openapi import as_yaml, document

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        made = registry_in_memory(Path(folder))
        sys.stdout.write(as_yaml(document(made.routes.routes)))
        made.close()
