"""One suite for every engine. Its assertions are shown in full when they fail."""

import pytest

pytest.register_assert_rewrite(
    *(f"tests.contract.{part}" for part in ("basics", "sampling", "states", "support", "training"))
)
