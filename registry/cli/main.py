"""The `registry` command."""

import click

from registry.cli.accounts import project, token, user
from registry.cli.audit import audit
from registry.cli.groups import group, member
from registry.cli.packages import package, protect
from registry.cli.policy import policy
from registry.cli.releases import status
from registry.cli.serve import serve
from registry.cli.store import where
from registry.cli.tokens import deploy_token, job_token
from registry.cli.upstream import upstream
from registry.cli.verify import verify_command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="twisted-package-registry", prog_name="registry")
@where
def main(config_file: str | None, data_dir: str | None) -> None:
    """A private Python package registry that speaks GitLab's PyPI registry protocol."""


for command in (
    serve,
    user,
    token,
    deploy_token,
    job_token,
    group,
    project,
    member,
    package,
    status,
    protect,
    policy,
    upstream,
    audit,
    verify_command,
):
    main.add_command(command)
