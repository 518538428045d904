"""The `registry` command."""

from importlib import import_module

import click

from registry.cli.store import where

# In the order of the help: each command, and the module and name that it is found under.
_COMMANDS = {
    "serve": ("serve", "serve"),
    "user": ("accounts", "user"),
    "token": ("accounts", "token"),
    "deploy-token": ("tokens", "deploy_token"),
    "job-token": ("tokens", "job_token"),
    "group": ("groups", "group"),
    "project": ("accounts", "project"),
    "member": ("groups", "member"),
    "package": ("releases", "package"),  # which adds to those of `packages`
    "status": ("releases", "status"),
    "protect": ("packages", "protect"),
    "policy": ("policy", "policy"),
    "explain": ("explain", "explain"),
    "upstream": ("upstream", "upstream"),
    "cache": ("cache", "cache"),
    "warm": ("warm", "warm"),
    "bundle": ("bundle", "bundle"),
    "audit": ("audit", "audit"),
    "verify": ("verify", "verify_command"),
}


class _Commands(click.Group):
    """Loads a command when it is asked for: a server does not keep the others in memory."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Of click: the commands' names, or one of them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Of click: the commands' names, or one of them."""
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"registry.cli.{module}"), name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="twisted-package-registry", prog_name="registry")
@where
def main(config_file: str | None, data_dir: str | None) -> None:
    """A private Python package registry that speaks GitLab's PyPI registry protocol."""
