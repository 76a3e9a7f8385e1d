"""Style transfer by optimizing pixels."""
