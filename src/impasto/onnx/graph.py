"""From a form to the bytes of an ONNX file: traced, with weights of 32, 16 or 8 bits, and with its card."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from impasto.errors import MissingExtra
from impasto.onnx.forms import Form

__all__ = ["describe", "need_extra", "round_weights", "to_onnx"]

_OPSET = 20
_FEW = 256  # values; fewer stay in float32
_SMALL = 4096  # values; a smaller array is not worth 8 bits, as in our own files


def need_extra() -> None:
    """Check that the packages of the extra are there.

    Raises:
        MissingExtra: one of them is missing.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # type: ignore[import-untyped]  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise MissingExtra("exporting needs an extra: pip install 'impasto[onnx]'.") from None


def to_onnx(form: Form, precision: str) -> Any:
    """Return the file of a form, an `onnx.ModelProto` without metadata.

    Args:
        form: of a model.
        precision: of the weights: "float32"; "float16"; or "int8" for large arrays of weights, with a scale for each
            filter, and float16 for others. Operations of the file turn them into float32.

    Raises:
        MissingExtra: the packages are missing.
    """
    need_extra()
    import onnx_ir
    from onnx_ir.passes import common

    random = torch.Generator().manual_seed(0)
    given = [one.draw(random, one.sized(one.trace)) for one in form.inputs.values()]
    free = torch.export.Dim.DYNAMIC
    shapes = [{at: free for at, side in enumerate(one.shape) if isinstance(side, str)} for one in form.inputs.values()]
    with _quiet(), torch.no_grad():
        form.compute(*given)  # what is computed once and kept, such as noise, is there before it is traced
        program = torch.onnx.export(
            form.network,
            tuple(given),
            dynamo=True,
            dynamic_shapes=(tuple(shapes),),
            input_names=list(form.inputs),
            output_names=list(form.outputs),
            opset_version=_OPSET,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    for one in (common.CommonSubexpressionEliminationPass(), common.ClearMetadataAndDocStringPass()):
        one(program.model)
    proto = onnx_ir.to_proto(program.model)
    for name, value in zip(form.inputs, proto.graph.input, strict=True):
        value.doc_string = form.inputs[name].about
        for side, dim in zip(form.inputs[name].shape, value.type.tensor_type.shape.dim, strict=True):
            if isinstance(side, str):
                dim.dim_param = side
    for name, value in zip(form.outputs, proto.graph.output, strict=True):
        value.doc_string = form.outputs[name]
    if precision != "float32":
        round_weights(proto, precision)
    return proto


def describe(proto: Any, facts: Mapping[str, str]) -> None:
    """Write facts into the metadata of a file, in place of those of these names."""
    kept = {one.key: one.value for one in proto.metadata_props} | dict(facts)
    del proto.metadata_props[:]
    for key, value in kept.items():
        proto.metadata_props.add(key=key, value=value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what exporters say about packages and about themselves."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


# --- precision ------------------------------------------------------------------------------------


def round_weights(proto: Any, precision: str) -> None:
    """Store weights in 16 or 8 bits, each with the operation that makes it float32 again.

    Args:
        proto: the file, which is changed.
        precision: "float16" or "int8", see `to_onnx`.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = proto.graph
    nodes = []
    for tensor in list(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        name, stored = tensor.name, f"{tensor.name}.stored"
        if precision == "int8" and values.ndim >= 2 and values.size >= _SMALL:
            axis = _filters(graph, name)
            whole, scales = _quantized(values, axis)
            tensor.CopyFrom(numpy_helper.from_array(whole, stored))
            graph.initializer.append(numpy_helper.from_array(scales, f"{name}.scale"))
            nodes.append(helper.make_node("DequantizeLinear", [stored, f"{name}.scale"], [name], axis=axis))
        elif values.size >= _FEW:
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
            nodes.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
    ordered = [*nodes, *graph.node]  # weights come before what uses them
    del graph.node[:]
    graph.node.extend(ordered)


def _quantized(values: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return 8-bit values and the scale of each filter, as in our own files."""
    others = tuple(one for one in range(values.ndim) if one != axis)
    scales = np.maximum(np.abs(values).max(others, keepdims=True), np.float32(1e-30)) / np.float32(127)
    return np.rint(values / scales).astype(np.int8), scales.reshape(-1).astype(np.float32)


def _filters(graph: Any, name: str) -> int:
    """Return the axis along which the filters of weights lie, from the operation that uses them."""
    for node in graph.node:
        if name in node.input:
            transposed = any(one.name == "transB" and one.i for one in node.attribute)
            if node.op_type == "ConvTranspose" or (node.op_type == "Gemm" and not transposed):
                return 1
            if node.op_type == "MatMul":
                return 1 if node.input[1] == name else 0
    return 0
