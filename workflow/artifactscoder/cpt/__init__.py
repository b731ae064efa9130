"""The CPT stage: from WebSight and a topic tree to packed tokens."""
