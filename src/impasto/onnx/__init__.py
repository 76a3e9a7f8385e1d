"""Networks as ONNX files, which run in browsers and in programs without torch."""
