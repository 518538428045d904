"""What an administrator may change while the registry runs, by GitLab's names, and what holds until he does."""

from collections.abc import Mapping

FORWARDING = "pypi_package_requests_forwarding"
LOCK_FORWARDING = "lock_pypi_package_requests_forwarding"
ANYONE_MAY_PULL = "package_registry_allow_anyone_to_pull_option"
MAX_FILE_SIZE = "pypi_max_file_size"

# Application settings; each is a switch.
SWITCHES: Mapping[str, bool] = {FORWARDING: True, LOCK_FORWARDING: False, ANYONE_MAY_PULL: True}
