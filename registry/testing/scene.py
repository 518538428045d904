"""When and where everything here happens, and who does it."""

from datetime import UTC, datetime

from registry.domain.model import Actor

# Where the clock of every fake begins.
NOON = datetime(2030, 6, 15, 12, tzinfo=UTC)
OPERATOR = Actor(user_id=None, username="operator")
EXTERNAL_URL = "https://packages.example.com"
