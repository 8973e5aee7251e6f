"""What `engine/base.py` promises, as tests that run against any engine.

A test module gives a fixture `contract` that returns a `Contract`, and takes the tests over:

    from tests.contract.engine_contract import *  # noqa: F403

Every scenario runs in its own `asyncio.run`, on a fresh engine unless it says otherwise.
"""

from __future__ import annotations

from tests.contract.basics import *  # noqa: F403
from tests.contract.sampling import *  # noqa: F403
from tests.contract.states import *  # noqa: F403
from tests.contract.support import Contract as Contract
from tests.contract.training import *  # noqa: F403
