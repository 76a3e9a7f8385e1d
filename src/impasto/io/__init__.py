"""Reading and writing of pictures and videos."""
