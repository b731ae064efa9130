"""Near-duplicate removal: MinHash signatures, LSH candidates, exact verification, one keep rule."""
