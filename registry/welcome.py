"""What a start says: a line, or on the first start the commands to paste."""

import shlex
from pathlib import Path

from attrs import frozen

from registry.workflows.founding import FIRST_PROJECT


@frozen(kw_only=True)
class Started:
    """A registry that has begun to serve. `url` is empty when no single address is known; `seconds` is what starting took."""

    first: bool
    addresses: tuple[str, ...]
    url: str
    data_dir: Path
    root_token: Path
    seconds: float

    def __str__(self) -> str:
        where = ", ".join(self.addresses) or "no port of its own"
        line = f"Registry listening on {where}; data in {self.data_dir}; ready in {self.seconds:.2f} s"
        return f"{line}\n{self._welcome()}" if self.first else line

    def _welcome(self) -> str:
        url = self.url or "https://REGISTRY"
        api = f"{url}/api/v4/projects/1/packages/pypi"
        token = f"$(cat {shlex.quote(str(self.root_token.absolute()))})"
        index = f"{api.replace('://', f'://__token__:{token}@', 1)}/simple"
        return f"""
Welcome. This is a new registry: it has an administrator, root, and one private project, {FIRST_PROJECT} (id 1).
Root's token is in {self.root_token} and nowhere else. Paste these into a shell on this machine:

  Publish          twine upload --repository-url {api} -u __token__ -p "{token}" dist/*
  Install          pip install --index-url "{index}" NAME
                   uv pip install --index-url "{index}" NAME

  ~/.pypirc, so that `twine upload -r registry dist/*` will do:

(umask 077; cat >> ~/.pypirc) <<END
[distutils]
index-servers = registry

[registry]
repository = {api}
username = __token__
password = {token}
END
"""
