"""Videos in and out: container, timing, colors, reader, writer."""
