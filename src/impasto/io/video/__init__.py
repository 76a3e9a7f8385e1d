"""Reading and writing of videos: container, timing, colors, reader, writer."""
