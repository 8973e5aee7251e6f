"""Between the SDK's wire format and the engine port: protobuf in, protobuf and JSON out.

Learnt from tinker 0.38: `proto/request_conv.py` (what it sends) and `proto/response_conv.py` (what
it reads).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from tinker.proto import tinker_public_pb2 as pb

from openthoughts_cli.engine.base import (
    AdamParams,
    Completion,
    Datum,
    ForwardResult,
    SamplingParams,
)

__all__ = [
    "WireError",
    "content_of",
    "digest_of",
    "read_adam",
    "read_forward_backward",
    "read_prompt",
    "read_sampling",
    "write_forward",
    "write_samples",
]


class WireError(Exception):
    """A request that the server would answer with 400."""


def digest_of(body: bytes) -> bytes:
    """What tells a request sent again from another one with its id."""
    return hashlib.blake2b(body).digest()


def content_of(request: pb.ForwardBackwardRequest) -> bytes:
    """The digest of its data alone."""
    data = [datum.SerializeToString(deterministic=True) for datum in request.data]
    return digest_of(b"".join(data))


def read_forward_backward(body: bytes) -> tuple[pb.ForwardBackwardRequest, list[Datum]]:
    """The request, and its data as the engine takes them."""
    request = pb.ForwardBackwardRequest()
    request.ParseFromString(body)
    if request.loss_fn != "cross_entropy":
        raise WireError(f"unsupported loss_fn {request.loss_fn!r}")
    return request, [_read_datum(datum) for datum in request.data]


def _read_datum(datum: pb.Datum) -> Datum:
    if set(datum.loss_fn_inputs) != {"target_tokens", "weights"}:
        raise WireError(f"cross_entropy takes no inputs {sorted(datum.loss_fn_inputs)}")
    chunks = [np.frombuffer(chunk.encoded_text.tokens, np.int32) for chunk in datum.model_input]
    targets = _read_tensor(datum.loss_fn_inputs["target_tokens"], pb.DTYPE_INT64, np.int64)
    weights = _read_tensor(datum.loss_fn_inputs["weights"], pb.DTYPE_FLOAT32, np.float32)
    try:
        return Datum(np.concatenate(chunks).astype(np.int64), targets, weights)
    except ValueError as error:
        raise WireError(str(error)) from error


def _read_tensor(tensor: pb.Tensor, wire: int, dtype: Any) -> Any:
    if tensor.WhichOneof("encoding") != "dense" or tensor.dtype != wire:
        raise WireError(f"expected a dense {np.dtype(dtype).name} tensor")
    array = np.frombuffer(tensor.dense, dtype).copy()
    if list(tensor.shape) != [array.size]:
        raise WireError(f"shape {list(tensor.shape)} for {array.size} values")
    return array


def write_forward(result: ForwardResult) -> bytes:
    lengths = [0, *(given.nbytes for given in result.logprobs)]
    tensor = pb.BatchedTensor(
        data=b"".join(given.astype(np.float32).tobytes() for given in result.logprobs),
        offsets=np.cumsum(lengths, dtype=np.int64).tobytes(),
        dtype=pb.DTYPE_FLOAT32,
    )
    record = pb.ArrayRecord(fields={"logprobs": tensor}, num_datums=len(result.logprobs))
    return pb.ForwardBackwardOutput(
        loss_fn_output_type="ArrayRecord",
        loss_fn_outputs=[record],
        metrics={"loss:sum": result.loss_sum},
    ).SerializeToString()


def write_samples(
    completions: Sequence[Completion], prompt_logprobs: Sequence[float | None] | None
) -> bytes:
    response = pb.SampleResponse()
    for completion in completions:
        sequence = response.sequences.add()
        stopped = completion.finish_reason == "stop"
        sequence.stop_reason = pb.STOP_REASON_STOP if stopped else pb.STOP_REASON_LENGTH
        sequence.tokens = np.asarray(completion.tokens, np.int32).tobytes()
        if completion.logprobs is not None:
            sequence.logprobs = np.asarray(completion.logprobs, np.float32).tobytes()
    if prompt_logprobs is not None:
        values = [np.nan if value is None else value for value in prompt_logprobs]
        response.prompt_logprobs = np.asarray(values, np.float32).tobytes()
    return response.SerializeToString()


def read_prompt(model_input: dict[str, Any]) -> list[int]:
    tokens = [token for chunk in model_input["chunks"] for token in chunk["tokens"]]
    if not tokens:
        raise WireError("the prompt is empty")
    return tokens


def read_sampling(params: dict[str, Any], samples: int) -> SamplingParams:
    top_k = params.get("top_k", -1)
    stop = params.get("stop", [])
    if top_k == 0 or top_k < -1 or not 0 < params["top_p"] <= 1 or params["temperature"] < 0:
        raise WireError("sampling parameters out of range")
    if not all(isinstance(token, int) for token in stop):
        raise WireError("this server stops at token ids alone")
    return SamplingParams(
        max_tokens=params["max_tokens"],
        n=samples,
        temperature=params["temperature"],
        top_p=params["top_p"],
        top_k=max(top_k, 0),
        seed=params.get("seed"),
        stop=tuple(stop),
    )


def read_adam(params: dict[str, Any]) -> AdamParams:
    try:
        return AdamParams(**params)
    except TypeError as error:
        raise WireError(str(error)) from error
