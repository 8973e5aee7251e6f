"""The scripted server is strict: what a service would refuse, it refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import numpy as np
import pytest
from tinker.proto import tinker_public_pb2 as pb

from tests.doubles.tinker_server import TinkerServer

STEP = {"learning_rate": 0.1, "beta1": 0.9, "beta2": 0.95, "eps": 1e-12}


@dataclasses.dataclass
class Wire:
    """A client that says exactly what it is told to."""

    server: TinkerServer
    http: httpx.Client

    def post(self, name: str, content: Any = None, **headers: str) -> httpx.Response:
        sent = {
            "x-api-key": self.server.key,
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        if isinstance(content, bytes):
            return self.http.post(f"/api/v1/{name}", content=content, headers=sent)
        return self.http.post(f"/api/v1/{name}", json=content or {}, headers=sent)

    def session(self) -> str:
        return self.post("create_session", {"sdk_version": "0.38.0"}).json()["session_id"]

    def model(self, **changes: Any) -> httpx.Response:
        lora = {"rank": 4, "train_attn": True, "train_mlp": True, "train_unembed": True}
        body = {"session_id": self.session(), "model_seq_id": 0, "base_model": "tiny/bigram"}
        return self.post("create_model", body | {"lora_config": lora} | changes)

    def run(self) -> str:
        promise = self.model().json()["request_id"]
        return self.result(promise)["model_id"]

    def step(self, model_id: str, seq_id: int, **changes: Any) -> httpx.Response:
        body = {"model_id": model_id, "seq_id": seq_id, "adam_params": STEP | changes}
        return self.post("optim_step", body)

    def result(self, request_id: str) -> dict[str, Any]:
        return self.post("retrieve_future", {"request_id": request_id}).json()


@pytest.fixture
def wire() -> Iterator[Wire]:
    with TinkerServer(poll_s=0.05) as server, httpx.Client(base_url=server.url) as http:
        yield Wire(server, http)


@pytest.mark.parametrize("key", ["", "sk-something", "tml-another"])
def test_a_wrong_key_is_refused(wire: Wire, key: str) -> None:
    assert wire.post("create_session", {"sdk_version": "1"}, x_api_key=key).status_code == 401
    assert wire.http.get("/api/v1/healthz").json() == {"status": "ok"}


def test_an_unknown_or_finished_session_is_refused(wire: Wire) -> None:
    assert wire.model(session_id="session-99").status_code == 404
    session = wire.session()
    wire.post(f"sessions/{session}/finish", {"reason": {"type": "success"}, "detail": None})
    assert wire.model(session_id=session).status_code == 410
    assert wire.post("session_heartbeat", {"session_id": session}).status_code == 410


def test_a_model_and_a_rank_that_cannot_be(wire: Wire) -> None:
    lora = {"rank": 6, "train_attn": True, "train_mlp": True, "train_unembed": True}
    assert wire.model(lora_config=lora).status_code == 400
    assert wire.model(base_model="nobody/none").status_code == 400
    assert wire.model(base_model="tiny/frozen").status_code == 400
    assert wire.server.violations == []


def test_requests_wait_for_those_before_them(wire: Wire) -> None:
    run = wire.run()
    second = wire.step(run, 2).json()["request_id"]
    assert wire.result(second)["type"] == "try_again"
    first = wire.step(run, 1).json()["request_id"]
    assert "metrics" in wire.result(first)
    assert "metrics" in wire.result(second)


def test_a_request_sent_again_is_done_once(wire: Wire) -> None:
    run = wire.run()
    ids = {wire.step(run, 1).json()["request_id"] for _ in range(3)}
    assert len(ids) == 1
    wire.result(ids.pop())
    engine: Any = wire.server.engine
    assert [request.kind for request in engine.requests].count("optim_step") == 1
    assert wire.server.violations == []


def test_two_requests_with_one_sequence_id_are_a_violation(wire: Wire) -> None:
    run = wire.run()
    assert wire.step(run, 1).status_code == 200
    assert wire.step(run, 1, learning_rate=0.2).status_code == 400
    assert wire.step(run, 0).status_code == 400
    assert len(wire.server.violations) == 2


def test_a_creation_sent_again_is_done_once(wire: Wire) -> None:
    session = wire.session()
    first, again = wire.model(session_id=session), wire.model(session_id=session)
    assert first.json() == again.json()


def test_an_id_names_one_request_alone(wire: Wire) -> None:
    session = wire.session()
    wire.model(session_id=session)
    lora = {"rank": 8, "train_attn": True, "train_mlp": True, "train_unembed": True}
    assert wire.model(session_id=session, lora_config=lora).status_code == 400
    asked = {"session_id": session, "sampling_session_seq_id": 0, "base_model": "tiny/bigram"}
    assert wire.post("create_sampling_session", asked).status_code == 200
    other = asked | {"base_model": "tiny/frozen"}
    assert wire.post("create_sampling_session", other).status_code == 400
    assert len(wire.server.violations) == 2


def test_a_session_without_heartbeats_lapses() -> None:
    now = [1000.0]
    with (
        TinkerServer(session_lapses_s=60, now=lambda: now[0]) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        wire = Wire(server, http)
        session = wire.session()
        for _ in range(3):
            now[0] += 59
            assert wire.post("session_heartbeat", {"session_id": session}).status_code == 200
        now[0] += 61
        assert wire.model(session_id=session).status_code == 410


def test_expired_weights_are_refused() -> None:
    now = [1000.0]
    with (
        TinkerServer(poll_s=0.05, session_lapses_s=1e9, now=lambda: now[0]) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        wire = Wire(server, http)
        asked = {"model_id": wire.run(), "path": "kept", "seq_id": 1, "ttl_seconds": 3600}
        path = wire.result(wire.post("save_weights", asked).json()["request_id"])["path"]
        load = {"path": path, "optimizer": True, "session_id": wire.session()}
        now[0] += 3599
        assert wire.post("load_weights", load | {"model_seq_id": 0}).status_code == 200
        now[0] += 1
        late = wire.post("load_weights", load | {"model_seq_id": 1})
        assert late.status_code == 404
        assert "expired" in late.text


def _forward_backward(
    model_id: str, length: int = 4, *, tokens: Sequence[int] = (0, 1, 2, 3)
) -> bytes:
    request = pb.ForwardBackwardRequest(model_id=model_id, seq_id=1, loss_fn="cross_entropy")
    datum = request.data.add()
    datum.model_input.add().encoded_text.tokens = np.array(tokens, dtype=np.int32).tobytes()
    for name, dtype, wire_type in (
        ("target_tokens", np.int64, pb.DTYPE_INT64),
        ("weights", np.float32, pb.DTYPE_FLOAT32),
    ):
        tensor = datum.loss_fn_inputs[name]
        tensor.dense = np.ones(length, dtype=dtype).tobytes()
        tensor.dtype = wire_type
        tensor.shape.append(length)
    return request.SerializeToString()


def test_results_of_training_are_protobuf_alone(wire: Wire) -> None:
    run = wire.run()
    body, proto = _forward_backward(run), "application/x-protobuf"
    assert wire.post("forward_backward", body, content_type="application/json").status_code == 400
    promise = wire.post("forward_backward", body, content_type=proto).json()["request_id"]
    asked = {"request_id": promise}
    assert wire.post("retrieve_future", asked, accept="application/json").status_code == 400
    answer = wire.post("retrieve_future", asked, accept=proto)
    assert answer.headers["content-type"] == proto
    output = pb.ForwardBackwardOutput()
    output.ParseFromString(answer.content)
    assert output.loss_fn_outputs[0].num_datums == 1


def test_data_of_unequal_lengths_are_a_violation(wire: Wire) -> None:
    body = _forward_backward(wire.run(), length=3)
    answer = wire.post("forward_backward", body, content_type="application/x-protobuf")
    assert answer.status_code == 400
    assert len(wire.server.violations) == 1


def test_a_sequence_beyond_the_context_and_unknown_tokens_are_refused(wire: Wire) -> None:
    run, proto = wire.run(), "application/x-protobuf"
    long = _forward_backward(run, length=65, tokens=[1] * 65)
    answer = wire.post("forward_backward", long, content_type=proto)
    assert (answer.status_code, "context of 64" in answer.text) == (400, True)
    assert wire.server.violations == []
    for tokens in ([1, 2, 3, 32], [1, 2, -1, 3]):
        body = _forward_backward(run, tokens=tokens)
        assert wire.post("forward_backward", body, content_type=proto).status_code == 400
    assert all("vocabulary" in text for text in wire.server.violations)
    assert len(wire.server.violations) == 2


def test_samples_carry_their_sequence_ids(wire: Wire) -> None:
    asked = {
        "session_id": wire.session(),
        "sampling_session_seq_id": 0,
        "base_model": "tiny/bigram",
    }
    sampler = wire.post("create_sampling_session", asked).json()["sampling_session_id"]
    request = {
        "sampling_session_id": sampler,
        "seq_id": 0,
        "num_samples": 3,
        "prompt": {"chunks": [{"tokens": [1, 2], "type": "encoded_text"}]},
        "sampling_params": {"max_tokens": 4, "temperature": 1, "top_p": 1, "top_k": -1},
    }
    promise = wire.post("asample", request).json()
    assert len(set(promise["sample_sequence_ids"])) == 3
    assert wire.post("asample", request).json() == promise
    assert wire.post("asample", request | {"num_samples": 2}).status_code == 400
    long = {"max_tokens": 63, "temperature": 1, "top_p": 1, "top_k": -1}
    assert wire.post("asample", request | {"seq_id": 1, "sampling_params": long}).status_code == 400


def test_a_checkpoint_cannot_be_named_out_of_its_place(wire: Wire) -> None:
    run = wire.run()
    for index, name in enumerate(("../up", "a/b", "", "x" * 200)):
        asked = {"model_id": run, "path": name, "seq_id": index + 1}
        assert wire.post("save_weights", asked).status_code == 400


def test_an_unknown_request_and_route_are_404(wire: Wire) -> None:
    assert wire.post("retrieve_future", {"request_id": "none"}).status_code == 404
    assert wire.post("no_such_route").status_code == 404
