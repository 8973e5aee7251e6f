"""Keys, the hosts they open, and the clock they are checked by. No key is ever part of a finding."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.config.sources import DEFAULT_DATASET
from openthoughts_cli.config.train import WandbConfig
from openthoughts_cli.doctor.check import Check, fail, ok, warn
from openthoughts_cli.engine.tinker.credentials import KEYS_URL, credentials_problem
from openthoughts_cli.errors import ConfigError, OtError
from openthoughts_cli.hub import access_steps, endpoint, http_error, is_offline, why_unreachable
from openthoughts_cli.problems.gpqa import GPQA_PLACE
from openthoughts_cli.waiting import run_to_end

__all__ = ["check_clock", "check_hub", "check_keys", "check_tinker", "check_wandb"]

_GROUP = "services"
_HF_FORM = r"hf_\w{20,}"
_HF_TOKENS = "make one at https://huggingface.co/settings/tokens"
_WANDB_FORM = r"\w{40,}"
_TOLERATED_SKEW_S = 60


def check_keys(environ: Mapping[str, str] | None = None) -> Iterator[Check]:
    """Which keys are there, and whether they look like keys."""
    environ = os.environ if environ is None else environ
    problem = credentials_problem(environ)
    remedy = f"get a key at {KEYS_URL} and set TINKER_API_KEY; the local engine needs none"
    if problem is None:
        yield ok(_GROUP, "tinker key", "configured, and in the form of a key")
    elif "TINKER_API_KEY" in environ or "no Tinker" not in problem:
        yield fail(_GROUP, "tinker key", problem, remedy)
    else:
        yield warn(_GROUP, "tinker key", "none, so the engine is the local one", remedy)
    token = environ.get("HF_TOKEN") or _stored_hf_token()
    if not token:
        yield ok(_GROUP, "hf token", "none; only private and gated data sets need HF_TOKEN")
    elif not re.fullmatch(_HF_FORM, token):
        yield warn(_GROUP, "hf token", "HF_TOKEN is set, but a token begins with hf_", _HF_TOKENS)
    else:
        yield ok(_GROUP, "hf token", "configured, and in the form of a token")


def check_tinker(config: EngineConfig, model: str) -> Check:
    """Whether the server answers with this key, and trains the model. Costs nothing."""
    from openthoughts_cli.engine.tinker import TinkerEngine
    from openthoughts_cli.engine.tinker.prices import price_of

    async def ask() -> tuple[str, int]:
        async with TinkerEngine(config) as engine:
            info = await engine.describe(model, train=True)
            return engine.base_url, info.context_tokens

    try:
        url, context = run_to_end(ask())
    except OtError as error:
        return fail(_GROUP, "tinker", error.message, error.hint or "try again later")
    price, as_of = price_of(model)
    priced = f"price list of {as_of}" if price else "no price known, so --max-usd cannot limit it"
    return ok(_GROUP, "tinker", f"{url} trains {model} ({context:,} tokens; {priced})")


def check_hub() -> Iterator[Check]:
    """Whether the data sets can be read: the open one, and the gated one that GPQA needs."""
    if is_offline():
        yield warn(
            _GROUP,
            "hub",
            "--offline, OT_OFFLINE or HF_HUB_OFFLINE forbids it; what is cached is used",
            "leave out --offline, and unset OT_OFFLINE and HF_HUB_OFFLINE",
        )
        return
    reason = why_unreachable(endpoint())
    if reason is not None:
        yield warn(
            _GROUP,
            "hub",
            f"{endpoint()} cannot be reached: {reason}",
            "check the connection, or name a mirror with HF_ENDPOINT; "
            "--dataset sample needs no network",
        )
        return
    yield _readable("hub", DEFAULT_DATASET, "README.md", "main")
    yield _readable("gpqa", GPQA_PLACE.repo, GPQA_PLACE.filename, GPQA_PLACE.revision)


def check_wandb() -> Check:
    """What `wandb.mode: auto` would do, and whether its host answers."""
    from openthoughts_cli.runs.wandb import check_wandb as refuse
    from openthoughts_cli.runs.wandb import resolve_mode

    settings = WandbConfig()
    mode = resolve_mode(settings)
    if mode != "online":
        return ok(
            _GROUP, "wandb", f"{mode} (no key, or WANDB_MODE says so); every run is logged on disk"
        )
    try:
        refuse(WandbConfig(mode="online"))
    except ConfigError as error:
        return warn(_GROUP, "wandb", error.message, error.hint or "run `wandb login`")
    key = os.environ.get("WANDB_API_KEY")
    if key and not re.fullmatch(_WANDB_FORM, key):
        text = "WANDB_API_KEY is set, but a key has 40 letters and digits or more"
        return warn(_GROUP, "wandb", text, "copy it from https://wandb.ai/authorize")
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
    if reason := why_unreachable(host):
        return warn(
            _GROUP,
            "wandb",
            f"{host} cannot be reached: {reason}",
            "--set wandb.mode=offline, and `ot runs sync` later",
        )
    return ok(_GROUP, "wandb", f"online, {host} answers")


def check_clock(now: datetime.datetime | None = None) -> Check:
    """This machine's clock against the hub's; expiries and run names go by it."""
    from huggingface_hub import get_session

    try:
        answer = get_session().head(endpoint(), timeout=5.0) if not is_offline() else None
    except http_error():
        answer = None
    said = answer.headers.get("date") if answer is not None else None
    if said is None:
        return ok(_GROUP, "clock", "not compared, since no host answered")
    here = now or datetime.datetime.now(datetime.UTC)
    skew_s = (here - parsedate_to_datetime(said)).total_seconds()
    text = f"{abs(skew_s):,.0f} s {'ahead of' if skew_s > 0 else 'behind'} {endpoint()}"
    if abs(skew_s) > _TOLERATED_SKEW_S:
        return warn(_GROUP, "clock", text, "set it: timedatectl set-ntp true")
    return ok(_GROUP, "clock", f"right to a minute ({text})")


def _stored_hf_token() -> str:
    """What `hf auth login` stored."""
    from huggingface_hub import constants

    try:
        return Path(constants.HF_TOKEN_PATH).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _readable(name: str, repo: str, file: str, revision: str) -> Check:
    from huggingface_hub.errors import HfHubHTTPError

    from openthoughts_cli.hub import look_up, short_reason

    try:
        found = look_up(repo, file, revision=revision)
    except OtError as error:
        return warn(_GROUP, name, error.message, error.hint or "try again later")
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            return warn(_GROUP, name, f"{repo} is gated and not granted", access_steps(repo))
        return warn(_GROUP, name, f"{repo}: {short_reason(error)}", "check HF_ENDPOINT")
    return ok(_GROUP, name, f"{repo} can be read (commit {found.commit[:8]})")
